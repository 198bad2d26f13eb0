import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { DataDirLock } from './data-dir-lock.js';
import { isDiskFull } from './disk-guard.js';
import type { FromWorker, ToWorker, WorkerInput } from './messages.js';
import { PortSocket } from './port-socket.js';
import { prepareDataDir, type Template, templateArchive } from './template.js';

// Also when this module runs from its source (in tests): threads are started from what was built.
const WORKER = fileURLToPath(new URL('../../../dist/database/embedded/worker.js', import.meta.url));
/** What passes through is short-lived; a young generation of the usual size would keep a hundred MB for it. */
const RESOURCE_LIMITS = { maxYoungGenerationSizeMb: 12 };
const CLOSE_MS = 10_000;
const RESTART_MS = 100;
/** Ends of the thread within a minute after which it is not started again. */
const MAX_RESTARTS = 5;
/** As long as the disk is full, starting again is tried for ever. */
const FULL_RETRY_MS = 2_000;

export interface EmbeddedOptions {
  /** Folder of the database; absent: in memory. */
  dataDir?: string;
  /** What a new database begins as. */
  template: Template;
  idleTransactionMs: number;
  /** The thread ended by itself; it is being started again unless `final`. */
  onLost: (reason: string, final: boolean) => void;
}

/** The embedded database: a thread of its own, a lock on its folder, and sockets to it. Starts the thread again when that ends. */
export class EmbeddedServer {
  #worker: Worker | undefined;
  #lock: DataDirLock | undefined;
  #closing = false;
  #ends: number[] = [];
  #retry: NodeJS.Timeout | undefined;
  /** A thread that is being started again; never rejects. */
  #restarting: Promise<void> | undefined;

  constructor(private readonly options: EmbeddedOptions) {}

  /** Rejects with DATABASE_LOCKED or DATABASE_CORRUPT. */
  async start(): Promise<void> {
    const { dataDir, template } = this.options;
    if (dataDir !== undefined) {
      await mkdir(path.dirname(dataDir), { recursive: true, mode: 0o700 });
      this.#lock = DataDirLock.acquire(`${dataDir}.lock`);
    }
    try {
      if (dataDir !== undefined) await prepareDataDir(dataDir, template);
      await this.#spawn();
    } catch (error) {
      this.#lock?.release();
      throw error;
    }
  }

  get running(): boolean {
    return this.#worker !== undefined;
  }

  /** For the PostgreSQL driver, instead of a TCP socket. */
  socket(): PortSocket {
    return new PortSocket((port) => {
      if (!this.#worker) throw new Error('The embedded database is not running.');
      this.#worker.postMessage({ attach: port } satisfies ToWorker, [port]);
    });
  }

  #spawn(): Promise<void> {
    const { dataDir, template, idleTransactionMs } = this.options;
    const workerData: WorkerInput = {
      ...(dataDir !== undefined && { dataDir }),
      template: templateArchive(template),
      idleTransactionMs,
    };
    // Its own output is only noise: what it has to say comes as a message.
    const worker = new Worker(WORKER, { workerData, stdout: true, stderr: true, resourceLimits: RESOURCE_LIMITS });
    worker.unref();
    return new Promise((resolve, reject) => {
      let started = false;
      const fail = (reason: string) => {
        if (started) return this.#onEnd(worker, reason);
        void worker.terminate();
        reject(new AtollError('DATABASE_CORRUPT', `The database ${dataDir ?? 'in memory'} does not open: ${reason}`));
      };
      worker.on('message', (message: FromWorker) => {
        if ('failed' in message) fail(message.failed);
        else if ('ready' in message) {
          started = true;
          this.#worker = worker;
          resolve();
        }
      });
      worker.on('error', (error) => fail(error instanceof Error ? error.message : String(error)));
      worker.on('exit', (code) => fail(`its thread ended with ${code}`));
    });
  }

  #onEnd(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    void worker.terminate();
    if (!this.#closing) this.#startAgain(reason);
  }

  #startAgain(reason: string): void {
    const { dataDir, onLost } = this.options;
    if (dataDir !== undefined && isDiskFull(dataDir)) {
      onLost(`${reason} (its disk is full)`, false);
      this.#restartIn(FULL_RETRY_MS);
      return;
    }
    const now = performance.now();
    this.#ends = [...this.#ends.filter((at) => now - at < 60_000), now];
    const final = this.#ends.length > MAX_RESTARTS || dataDir === undefined;
    onLost(reason, final);
    if (!final) this.#restartIn(RESTART_MS * 2 ** this.#ends.length);
  }

  #restartIn(ms: number): void {
    if (this.#closing) return;
    this.#retry = setTimeout(() => {
      this.#restarting = this.#spawn().catch((error: Error) => this.#startAgain(error.message));
    }, ms);
  }

  /** Waits for a running request, closes the database, ends the thread, frees the folder. */
  async close(): Promise<void> {
    this.#closing = true;
    clearTimeout(this.#retry);
    // The folder must not be free while a thread opens it.
    await this.#restarting;
    const worker = this.#worker;
    if (worker) {
      await closed(worker);
      this.#worker = undefined;
      await worker.terminate();
    }
    this.#lock?.release();
  }

  /** Ends the thread as a crash would; for tests. */
  async crash(): Promise<void> {
    await this.#worker?.terminate();
  }
}

function closed(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, CLOSE_MS);
    const done = () => {
      clearTimeout(timer);
      resolve();
    };
    worker.on('message', (message: FromWorker) => 'closed' in message && done());
    worker.once('exit', done);
    worker.postMessage({ close: true } satisfies ToWorker);
  });
}
