import { AsyncLocalStorage } from 'node:async_hooks';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { outsideTransaction } from '../database/index.js';

export interface QuotaLimits {
  maxRows: number;
  maxBytes: number;
}

export interface Usage {
  rows: number;
  bytes: number;
}

/** How long a count is good for when other kernels write, too, in ms. */
const STALE_MS = 10_000;

/** What one plugin stores, and the limit of it. Counted in the database at first, and then as it changes. */
export class Quota {
  #usage: Usage = { rows: 0, bytes: 0 };
  #counted: Promise<void> | undefined;
  #countedAt = Number.NEGATIVE_INFINITY;
  /** What a transaction has taken, while it runs. */
  readonly #ledger = new AsyncLocalStorage<Usage>();

  constructor(
    private readonly plugin: string,
    private readonly limits: QuotaLimits,
    private readonly count: () => Promise<Usage>,
    /** Whether other processes write to the same database. */
    private readonly shared: boolean,
  ) {}

  async usage(): Promise<Usage> {
    await this.#ready();
    return { ...this.#usage };
  }

  /** Room for what is about to be written; to be given back with `release` when that fails. Throws STORAGE_QUOTA. */
  async reserve(rows: number, bytes: number): Promise<void> {
    await this.#ready();
    const { maxRows, maxBytes } = this.limits;
    const after = { rows: this.#usage.rows + rows, bytes: this.#usage.bytes + bytes };
    // What makes it smaller is always welcome.
    if (rows > 0 && after.rows > maxRows)
      throw new AtollError('STORAGE_QUOTA', `"${this.plugin}" may store ${maxRows} documents and blobs.`);
    if (bytes > 0 && after.bytes > maxBytes)
      throw new AtollError('STORAGE_QUOTA', `"${this.plugin}" may store ${maxBytes} bytes.`);
    this.#add(rows, bytes);
  }

  release(rows: number, bytes: number): void {
    this.#add(-rows, -bytes);
  }

  /** For a transaction: takes back what the work reserved and released when it fails, as the database does with what it wrote. */
  async undoable<T>(work: () => Promise<T>): Promise<T> {
    await this.#ready();
    const ledger: Usage = { rows: 0, bytes: 0 };
    try {
      return await this.#ledger.run(ledger, work);
    } catch (error) {
      this.release(ledger.rows, ledger.bytes);
      throw error;
    }
  }

  #add(rows: number, bytes: number): void {
    this.#usage = { rows: this.#usage.rows + rows, bytes: this.#usage.bytes + bytes };
    const ledger = this.#ledger.getStore();
    if (!ledger) return;
    ledger.rows += rows;
    ledger.bytes += bytes;
  }

  /** Has everything counted anew at the next use. */
  recount(): void {
    this.#counted = undefined;
  }

  async #ready(): Promise<void> {
    // In a transaction nobody may wait for a count that another connection makes: that one may wait for this transaction. It was
    // counted before.
    if (this.#ledger.getStore()) return;
    this.#counted ??= this.#recount();
    await this.#counted;
    if (!this.shared || performance.now() - this.#countedAt < STALE_MS) return;
    // The next ones go on with the old count meanwhile.
    this.#countedAt = performance.now();
    outsideTransaction(() => void this.#recount().catch(() => {}));
  }

  async #recount(): Promise<void> {
    const before = { ...this.#usage };
    try {
      const counted = await this.count();
      // What was reserved while it counted may or may not be in it; taking it as not leaves the limit on the safe side.
      this.#usage = {
        rows: counted.rows + Math.max(0, this.#usage.rows - before.rows),
        bytes: counted.bytes + Math.max(0, this.#usage.bytes - before.bytes),
      };
      this.#countedAt = performance.now();
    } catch (error) {
      this.#counted = undefined;
      throw error;
    }
  }
}
