import { randomUUID } from 'node:crypto';
import { AtollError, type CloudEvent } from '@atoll/plugin-sdk/contract';

export interface EmitOptions {
  /** CloudEvents `source`; `/kernel` when absent. */
  source?: string;
  traceparent?: string;
  /** Whose event it is; the installation's own when absent. */
  organisation?: string;
  /** Called once no queue of this node holds it any more: what waits is kept in memory. */
  onTaken?: () => void;
}

/**
 * The envelope of an event, with a frozen copy of the data: listeners share it, so none can change what the next one sees, nor can
 * the publisher afterwards. Throws EVENT_INVALID for data that can't be copied.
 */
export function createEvent(
  topic: string,
  data: unknown,
  { source = '/kernel', traceparent, organisation }: EmitOptions,
): CloudEvent {
  return Object.freeze({
    specversion: '1.0',
    id: randomUUID(),
    source,
    type: topic,
    time: new Date().toISOString(),
    datacontenttype: 'application/json',
    data: snapshot(topic, data),
    ...(traceparent !== undefined && { traceparent }),
    ...(organisation !== undefined && { organisation }),
  } as const);
}

/** An event that came from elsewhere, frozen like those made here. */
export const adoptEvent = (event: CloudEvent): CloudEvent => deepFreeze(event);

function snapshot(topic: string, data: unknown): unknown {
  if (typeof data !== 'object' || data === null) return data;
  try {
    return deepFreeze(structuredClone(data));
  } catch (error) {
    throw new AtollError(
      'EVENT_INVALID',
      `The data of an event "${topic}" can't be copied; send plain JSON values.`,
      {},
      { cause: error },
    );
  }
}

function deepFreeze<T>(value: T): T {
  // Views of memory can't be frozen, and frozen values were here before.
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const item of Object.values(value)) deepFreeze(item);
  return value;
}
