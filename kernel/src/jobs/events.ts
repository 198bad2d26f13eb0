import { Type } from 'typebox';
import type { EventBus } from '../events/index.js';

const Of = {
  id: Type.String(),
  plugin: Type.String(),
  name: Type.String(),
  organisation: Type.String(),
};
const Attempt = Type.Optional(Type.Integer());
const Failure = Type.Optional(Type.Object({ code: Type.String(), message: Type.String() }));

const TOPICS = {
  'job.queued': Type.Object(Of),
  'job.started': Type.Object({ ...Of, attempt: Attempt }),
  'job.progress': Type.Object({ ...Of, attempt: Attempt, progress: Type.Number() }),
  'job.retrying': Type.Object({ ...Of, attempt: Attempt, error: Failure }),
  'job.completed': Type.Object({ ...Of, attempt: Attempt }),
  'job.failed': Type.Object({ ...Of, error: Failure }),
  'job.cancelled': Type.Object(Of),
};

type Topic = keyof typeof TOPICS;
export type Announce = (topic: Topic, data: Record<string, unknown>) => void;
/** As part of the transaction that the caller is in. */
export type RecordEvent = (topic: Topic, data: Record<string, unknown>) => Promise<void>;

/** Declares what happens to jobs as events, and publishes it. How far a job is says the next event better. */
export function announcer(events: EventBus): { announce: Announce; record: RecordEvent } {
  for (const [topic, schema] of Object.entries(TOPICS))
    events.defineTopic(topic, schema, topic === 'job.progress' ? { durable: false } : {});
  return {
    announce: (topic, data) => void events.emit(topic, data),
    record: async (topic, data) => void (await events.record(topic, data)),
  };
}
