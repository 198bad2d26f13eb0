import type { Validator } from '../schema/index.js';

/** Longest wait between two tries, in seconds. */
export const MAX_RETRY_DELAY = 300;

/** How jobs of one name are done. */
export interface JobDefinition {
  plugin: string;
  name: string;
  input?: Validator;
  concurrency: number;
  /** Tries after the first one. */
  retries: number;
  timeoutMs: number;
  schedule?: { expression: string; timeZone: string };
}

/** What is stored of a job beside what the queue knows itself. */
export interface Envelope {
  org: string;
  priority: string;
  data: unknown;
  key?: string;
  /** How often its process was lost while it ran. */
  lost?: number;
}

/** A job that this process has claimed. `attempt` is the fencing token: a later claim has a higher one. */
export interface Claim {
  queue: string;
  id: string;
  attempt: number;
  data: Envelope;
}

/** Does one job. Rejects with an AtollError. */
export interface JobWork {
  run(claim: Claim, signal: AbortSignal): Promise<unknown>;
  /** False once another version, or none, has taken over: what it gave up is for that one. */
  live(): boolean;
}

export const STATES = ['queued', 'delayed', 'retrying', 'running', 'completed', 'failed', 'cancelled'] as const;
export type JobState = (typeof STATES)[number];

/** The queue of a plugin's jobs of one name. Ids of plugins have no slash. */
export const queueOf = (plugin: string, name: string): string => `${plugin}/${name}`;

export function splitQueue(queue: string): { plugin: string; name: string } {
  const at = queue.indexOf('/');
  return { plugin: queue.slice(0, at), name: queue.slice(at + 1) };
}
