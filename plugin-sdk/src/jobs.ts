import type { Static, TSchema } from 'typebox';

export type JobPriority = 'LOW' | 'NORMAL' | 'HIGH' | 'URGENT' | 'CRITICAL';

export interface JobOptions<S extends TSchema | undefined = undefined> {
  /** Checked when a job is sent; defaults are filled in. */
  input?: S;
  /** Jobs of this name that run at the same time in one kernel; 1 when absent. */
  concurrency?: number;
  /** How often a job that failed is tried again, later each time; 3 when absent. */
  retries?: number;
  /** Longest time of one try in ms, up to six hours; a minute when absent. */
  timeoutMs?: number;
}

export interface SendOptions {
  /** NORMAL when absent. Who waits rises: after a minute like the next higher one. */
  priority?: JobPriority;
  /** Not before this time has passed, in ms. */
  delayMs?: number;
  /** Of the jobs with the same key, one at a time runs. */
  key?: string;
  /** Instead of the definition's. */
  retries?: number;
}

/** What a handler gets. A try that was interrupted is done again: write handlers so that they may run twice. */
export interface JobRun<T> {
  readonly id: string;
  readonly data: T;
  /** Counts the starts, from 1. */
  readonly attempt: number;
  /** Aborts when the job is cancelled or its time is over. */
  readonly signal: AbortSignal;
  /** Tells how much is done, from 0 to 1. */
  progress(fraction: number): void;
}

type Input<S> = S extends TSchema ? Static<S> : unknown;

/** A defined job. */
export interface JobDefinition<S extends TSchema | undefined> {
  readonly name: string;
  /** Resolves with the job's id when it is stored. */
  send(data: Input<S>, options?: SendOptions): Promise<string>;
}

/** Work that outlives the call that asked for it, and the process. Needs `permissions.jobs`. */
export interface Jobs {
  /** Says how jobs of a name are done. What the handler answers is kept as the job's result. */
  define<S extends TSchema | undefined = undefined>(
    name: string,
    options: JobOptions<S>,
    handler: (run: JobRun<Input<S>>) => unknown,
  ): JobDefinition<S>;
  define(name: string, handler: (run: JobRun<unknown>) => unknown): JobDefinition<undefined>;
  /** Sends a job of a name that this plugin defines; resolves with its id when it is stored. */
  send(name: string, data?: unknown, options?: SendOptions): Promise<string>;
}

export interface CronOptions {
  /** An IANA name such as `Europe/Vienna`; UTC when absent. */
  timeZone?: string;
  retries?: number;
  timeoutMs?: number;
}

/** Jobs by the clock. Needs `permissions.schedule`. */
export interface Schedule {
  /** Runs a job whenever the expression (five fields: minute, hour, day, month, day of the week) says so. */
  cron(name: string, expression: string, handler: (run: JobRun<null>) => unknown): void;
  cron(name: string, expression: string, options: CronOptions, handler: (run: JobRun<null>) => unknown): void;
}
