import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database, LeaseClock } from '../database/index.js';
import type { Self } from './self.js';
import { Turns } from '../turns.js';

/** Renewed with every heartbeat; a node that is gone keeps others waiting no longer than this. */
const HOLD_SECONDS = 10;
const WAIT_MS = 15_000;
const ASK_MS = 25;

/** The right to change what all nodes run: one node has it at a time, and there one change. By the database's clock. */
export class ChangeLease {
  readonly #turns = new Turns();
  #held = false;
  readonly #holder: string;

  constructor(
    private readonly database: Database,
    private readonly clock: LeaseClock,
    self: Self,
  ) {
    this.#holder = `${self.id} ${self.incarnation}`;
  }

  /**
   * What is said of the holder in SQL: only then may anything be changed. `$1` is for `holder`. Whoever takes it after its time says so there:
   * the time itself may have been set.
   */
  static readonly HELD = 'holder = $1';

  get holder(): string {
    return this.#holder;
  }

  /** Runs work of this node when none other runs, without the right to change anything. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work);
  }

  /** Runs a change. Throws CONFLICT when another node does not come to an end. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return this.alone(async () => {
      await this.#acquire();
      this.#held = true;
      try {
        return await work();
      } finally {
        this.#held = false;
        await this.#release();
      }
    });
  }

  async renew(): Promise<void> {
    // Only what is still held: this may well arrive after the release.
    if (this.#held)
      await this.database.query(
        `update cluster.state set held_until = now() + interval '${HOLD_SECONDS} seconds' where ${ChangeLease.HELD}`,
        [this.#holder],
      );
  }

  async #acquire(): Promise<void> {
    const latest = performance.now() + WAIT_MS;
    for (;;) {
      if (await this.#take()) return;
      if (performance.now() > latest) throw await this.#busy();
      await new Promise((resolve) => setTimeout(resolve, ASK_MS));
    }
  }

  async #take(): Promise<boolean> {
    const { now } = await this.clock.read();
    const rows = await this.database.query(
      `update cluster.state set holder = $1, held_until = now() + interval '${HOLD_SECONDS} seconds'
        where holder is null or holder = $1 or held_until < least(now(), $2) returning id`,
      [this.#holder, now],
    );
    if (rows.length === 0) await this.#catchUpWithClock();
    return rows.length > 0;
  }

  /** When the clock was set back: nobody can hold it for longer than from now on. */
  async #catchUpWithClock(): Promise<void> {
    const most = `now() + interval '${HOLD_SECONDS} seconds'`;
    await this.database.query(
      `update cluster.state set held_until = ${most} where held_until > ${most} + interval '1 second'`,
    );
  }

  /** When that can't be said now, it ends by itself. */
  async #release(): Promise<void> {
    await this.database
      .query('update cluster.state set holder = null, held_until = null where holder = $1', [this.#holder])
      .catch(() => {});
  }

  async #busy(): Promise<AtollError> {
    const [row] = await this.database.query<{ holder: string | null }>('select holder from cluster.state');
    const node = row?.holder?.split(' ')[0] ?? 'another one';
    return new AtollError(
      'CONFLICT',
      `The node ${node} is changing what is installed. Try again when it has finished.`,
      {
        retryAfter: 5,
      },
    );
  }
}
