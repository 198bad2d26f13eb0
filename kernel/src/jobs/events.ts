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

export type Announce = (topic: keyof typeof TOPICS, data: Record<string, unknown> & { organisation: string }) => void;

/** Declares what happens to jobs as events, and publishes it: to the organisation that the job is of. */
export function announcer(events: EventBus): Announce {
  for (const [topic, schema] of Object.entries(TOPICS)) events.defineTopic(topic, schema);
  return (topic, data) => void events.emit(topic, data, { organisation: data.organisation });
}
