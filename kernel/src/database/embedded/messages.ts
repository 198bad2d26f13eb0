import type { MessagePort } from 'node:worker_threads';

/** What the database's thread is started with. */
export interface WorkerInput {
  /** Folder of the database; absent: in memory, from the template. */
  dataDir?: string;
  /** The prepared data directory, a gzipped tar. */
  template: string;
  idleTransactionMs: number;
}

export type ToWorker = { attach: MessagePort } | { close: true };
export type FromWorker = { ready: true } | { failed: string } | { closed: true };
