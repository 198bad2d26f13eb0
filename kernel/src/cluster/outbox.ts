import type { CloudEvent } from '@atoll/plugin-sdk/contract';
import { afterCommit, type Database, outsideTransaction } from '../database/index.js';
import type { Logger } from '../telemetry/logger.js';

export interface KeptEvent {
  seq: string;
  /** Which node has published it. */
  node: string;
  event: string;
}

/** What is not sent yet is bounded like every queue of events: the oldest are given up, for newer state matters more than older. */
const MAX_UNSENT = 100_000;
const MAX_WAITING = 10_000;
const BATCH = 200;
const RETRY_MS = 500;
/** What was sent is kept so long, for the case that Redis loses it. */
const SENT_SECONDS = 600;
const INSERT = 'insert into cluster.outbox (node, event) select $1, unnest($2::text[])';

/** Durable events of this node between the database and Redis: written with the change they tell of where that is possible. */
export class Outbox {
  readonly #waiting: string[] = [];
  #writing: Promise<void> | undefined;
  #closed = false;
  #dropped = 0;

  constructor(
    private readonly database: Database,
    private readonly node: string,
    private readonly log: Logger,
    private readonly onStored: () => void,
  ) {}

  /** As part of the transaction that the caller is in. */
  async keep(event: CloudEvent): Promise<void> {
    await this.database.query(INSERT, [this.node, [JSON.stringify(event)]]);
    afterCommit(this.onStored);
  }

  /** By itself, as soon as the database takes it; in the order of the calls. */
  add(event: CloudEvent): void {
    this.#waiting.push(JSON.stringify(event));
    if (this.#waiting.length > MAX_WAITING) {
      this.#waiting.shift();
      if (this.#dropped++ === 0) this.log.warn('events for other nodes are given up: the database does not take them');
    }
    this.#writing ??= outsideTransaction(() => this.#write());
  }

  /** The oldest ones that were not sent, of this node. */
  unsent(limit: number): Promise<KeptEvent[]> {
    return this.database.query<KeptEvent>(
      'select seq, node, event from cluster.outbox where node = $1 and sent_at is null order by seq limit $2',
      [this.node, limit],
    );
  }

  /** The last one that an earlier process of this node has left unsent; 0 without one. */
  async lastLeft(): Promise<bigint> {
    const [row] = await this.database.query<{ seq: string }>(
      'select coalesce(max(seq), 0) as seq from cluster.outbox where node = $1 and sent_at is null',
      [this.node],
    );
    return BigInt(row!.seq);
  }

  /** Those that nodes have left behind that are gone. Several may send them: they are known by their ids. */
  orphans(limit: number): Promise<KeptEvent[]> {
    return this.database.query<KeptEvent>(
      `select seq, node, event from cluster.outbox o
        where sent_at is null and node <> $1
          and not exists (select 1 from cluster.node n where n.id = o.node and n.alive_until > now()) order by seq limit $2`,
      [this.node, limit],
    );
  }

  async markSent(seqs: readonly string[]): Promise<void> {
    await this.database.query('update cluster.outbox set sent_at = now() where seq = any($1::bigint[])', [seqs]);
  }

  /** Redis has lost what it had: it is sent again. Those who know it already do not mind. */
  async unsend(): Promise<void> {
    await this.database.query(
      `update cluster.outbox set sent_at = null where node = $1 and sent_at > now() - interval '${SENT_SECONDS} seconds'`,
      [this.node],
    );
  }

  /** Removes what was sent, and what is too much. */
  async tidy(): Promise<void> {
    await this.database.query(`delete from cluster.outbox where sent_at < now() - interval '${SENT_SECONDS} seconds'`);
    const given = await this.database.query(
      `delete from cluster.outbox where sent_at is null
          and seq <= (select seq from cluster.outbox where sent_at is null order by seq desc offset ${MAX_UNSENT} limit 1)
        returning 1`,
    );
    if (given.length > 0)
      this.log.warn({ events: given.length }, 'events for other nodes are given up: there are too many');
  }

  /** Writes what is waiting, if the database takes it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  async #write(): Promise<void> {
    // What is published in the same breath is written together.
    await null;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.slice(0, BATCH);
      const droppedBefore = this.#dropped;
      try {
        await this.database.query(INSERT, [this.node, batch]);
        this.#waiting.splice(0, Math.max(0, batch.length - (this.#dropped - droppedBefore)));
        this.#dropped = 0;
        this.onStored();
      } catch (error) {
        this.log.debug({ err: error }, 'events for other nodes can not be written; it is tried again');
        if (this.#closed) break;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref());
      }
    }
    this.#writing = undefined;
  }
}
