import { DatabaseSync } from 'node:sqlite';
import { AtollError } from '@atoll/plugin-sdk/contract';

const RETRY_MS = 20;
const BUSY = 5;

/**
 * A lock between processes, and between calls of this one. SQLite holds it because it does so by a lock of the operating
 * system, which goes with the process however that ends: Node has none of its own, and lock files outlive a crash.
 */
export class StoreLock {
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly file: string,
    private readonly waitMs: number,
  ) {}

  /** Runs the task alone. Throws STORE_BUSY when another process holds the lock for too long. */
  run<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      const release = await this.#acquire();
      try {
        return await task();
      } finally {
        release();
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #acquire(): Promise<() => void> {
    const deadline = performance.now() + this.waitMs;
    const database = this.#open();
    for (;;) {
      try {
        database.exec('BEGIN EXCLUSIVE');
        return () => database.close();
      } catch (error) {
        if (isBusy(error) && performance.now() < deadline) {
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
          continue;
        }
        database.close();
        throw isBusy(error) ? this.#busy() : this.#unusable(error);
      }
    }
  }

  #open(): DatabaseSync {
    try {
      return new DatabaseSync(this.file, { timeout: 0 });
    } catch (error) {
      throw this.#unusable(error);
    }
  }

  #busy(): AtollError {
    return new AtollError('STORE_BUSY', `Another process has been changing the plugin store for ${this.waitMs} ms.`);
  }

  #unusable(error: unknown): AtollError {
    const why = (error as Error).message;
    return new AtollError(
      'STORE_UNWRITABLE',
      `The lock ${this.file} can't be used (${why}); delete it when no server runs.`,
    );
  }
}

const isBusy = (error: unknown): boolean => (error as { errcode?: number }).errcode === BUSY;
