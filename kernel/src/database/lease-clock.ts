import type { Database } from './database.js';

/** As long as every owner of a lease needs to renew it, in ms. */
const PATIENCE_MS = 10_000;
/** Clocks do not run equally fast; this much is no step. */
const NOTICED_MS = 1_000;

export interface LeaseTime {
  /** What has ended before this, and before the database's `now()`, has ended. */
  now: Date;
  /** The clock may have gone back a while ago: what is said to be in its future is from before that. */
  unsettled: boolean;
}

/**
 * The clock by which leases are judged: the database's, for no two nodes' own ones are alike. When that is set forward it goes on as before
 * until every owner that lives has renewed its lease, or all of them would seem to have ended at once.
 */
export class LeaseClock {
  /** A reading of both clocks. */
  #known: { database: number; own: number } | undefined;
  /** Since when the database's clock is ahead of what it should be, by this process' own. */
  #aheadSince: number | undefined;
  #unsettledUntil = Number.POSITIVE_INFINITY;

  constructor(private readonly database: Pick<Database, 'query'>) {}

  async read(): Promise<LeaseTime> {
    const before = performance.now();
    const [row] = await this.database.query<{ ms: string }>('select extract(epoch from now()) * 1000 as ms');
    const now = this.#judge(Number(row!.ms), before, performance.now());
    return { now: new Date(now), unsettled: before < this.#unsettledUntil };
  }

  #judge(database: number, before: number, after: number): number {
    if (!this.#known) this.#unsettledUntil = after + PATIENCE_MS;
    const expected = this.#known ? this.#known.database + after - this.#known.own : database;
    if (database < expected - (after - before) - NOTICED_MS) this.#unsettledUntil = after + PATIENCE_MS;
    if (database > expected + NOTICED_MS) {
      this.#aheadSince ??= after;
      if (after - this.#aheadSince < PATIENCE_MS) return expected;
    }
    this.#aheadSince = undefined;
    this.#known = { database, own: before };
    return database;
  }
}
