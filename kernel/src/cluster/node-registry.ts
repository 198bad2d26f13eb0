import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database, LeaseClock } from '../database/index.js';
import type { Self } from './self.js';

export type NodeState = 'starting' | 'ready' | 'fenced' | 'stopping';

/** What a node says of itself with each heartbeat. */
export interface Report {
  state: NodeState;
  /** The generation that it has brought about. */
  generation: number;
  /** Why it is not further, by plugin. */
  problems: Record<string, string>;
  /** How far it has read the events of others. */
  position: string | undefined;
}

export interface NodeView {
  id: string;
  host: string;
  pid: number;
  address: string;
  version: string;
  startedAt: string;
  lastSeenAt: string;
  /** As the node says; `stopped` when it has ended, `dead` when it is not heard of. */
  state: NodeState | 'stopped' | 'dead';
  generation: number;
  /** It runs what the installation should run. */
  converged: boolean;
  problems: { plugin: string; reason: string }[];
}

/** Heartbeats that may be missed. */
const MISSES = 3;
const LEAST_SILENCE_MS = 3_000;
const FORGET_SECONDS = 600;
const LOOK_MS = 250;

/** The nodes on this database. Only the database's clock counts, as far as it runs evenly. */
export class NodeRegistry {
  readonly #silenceMs: number;

  constructor(
    private readonly database: Database,
    private readonly clock: LeaseClock,
    private readonly self: Self,
    heartbeatMs: number,
  ) {
    this.#silenceMs = Math.max(LEAST_SILENCE_MS, heartbeatMs * (MISSES + 0.5));
  }

  /**
   * Takes the place of this node; resolves with how far it had read events before. Waits for the end of an earlier process of it; throws
   * CONFIG_INVALID when that goes on living.
   */
  async join(): Promise<string | undefined> {
    let firstSeen: string | undefined;
    await this.catchUpWithClock();
    for (;;) {
      const taken = await this.#take();
      if (taken) return taken.position ?? undefined;
      const other = await this.#other();
      if (!other) continue;
      firstSeen ??= other.seen_at;
      if (other.seen_at !== firstSeen)
        throw new AtollError(
          'CONFIG_INVALID',
          `node.id: "${this.self.id}" is the node at ${other.address} (process ${other.pid} on ${other.host}). Give this one a data directory of its own, or set ATOLL_NODE__ID.`,
        );
      if (other.host === this.self.host && !isRunning(other.pid)) await this.#remove(other.incarnation);
      else await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** False when another process has taken the place of this one. */
  async beat({ state, generation, problems, position }: Report): Promise<boolean> {
    const { id, incarnation, host, pid, address, version, startedAt } = this.self;
    const rows = await this.database.query(
      `insert into cluster.node as n
              (id, incarnation, host, pid, address, version, started_at, seen_at, alive_until, state, generation, problems, position)
       values ($1, $2, $3, $4, $5, $6, $7, now(), now() + $8::int * interval '1 ms', $9, $10, $11, $12)
       on conflict (id) do update set seen_at = excluded.seen_at, alive_until = excluded.alive_until, state = excluded.state,
              address = excluded.address, generation = excluded.generation, problems = excluded.problems,
              position = coalesce(excluded.position, n.position)
        where n.incarnation = excluded.incarnation returning id`,
      [
        id,
        incarnation,
        host,
        pid,
        address,
        version,
        startedAt,
        this.#silenceMs,
        state,
        generation,
        JSON.stringify(problems),
        position ?? null,
      ],
    );
    return rows.length > 0;
  }

  /** It is gone on purpose: nobody has to wait for it to be missed. Where it had got to is kept for when it comes back. */
  async leave(position: string | undefined): Promise<void> {
    await this.database.query(
      `update cluster.node set alive_until = now(), state = 'stopping', position = coalesce($3, position)
        where id = $1 and incarnation = $2`,
      [this.self.id, this.self.incarnation, position ?? null],
    );
  }

  async forgetDead(): Promise<void> {
    const { now } = await this.clock.read();
    await this.database.query(
      `delete from cluster.node where alive_until < least(now(), $1) - interval '${FORGET_SECONDS} seconds'`,
      [now],
    );
  }

  /** Whether another node is up that has got so far. */
  async otherIsAt(generation: number): Promise<boolean> {
    const { now } = await this.clock.read();
    const rows = await this.database.query(
      `select 1 from cluster.node where id <> $1 and alive_until > least(now(), $3) and state = 'ready' and generation >= $2 limit 1`,
      [this.self.id, generation, now],
    );
    return rows.length > 0;
  }

  /** In the order of the ids. */
  async list({ limit, after }: { limit: number; after?: string | undefined }): Promise<NodeView[]> {
    return (await this.#rows('id > $2 order by id limit $3', [after ?? '', limit])).map(toView);
  }

  async get(id: string): Promise<NodeView | undefined> {
    return (await this.#rows('id = $2', [id])).map(toView)[0];
  }

  /** Those that live and are behind, or have a problem with this plugin. */
  async behind(plugin: string): Promise<NodeView[]> {
    const rows = await this.#rows(
      'alive_until > least(now(), $1) and (generation < (select generation from cluster.state) or problems ? $2) order by id',
      [plugin],
    );
    return rows.map(toView);
  }

  /** The clock was set back: what nodes say of the future is from before that. Who lives says something newer soon. */
  async catchUpWithClock(): Promise<void> {
    const { unsettled } = await this.clock.read();
    if (!unsettled) return;
    await this.database.query(
      `update cluster.node set alive_until = now() + (alive_until - seen_at), seen_at = now()
        where seen_at > now() + interval '1 second'`,
    );
  }

  async #take(): Promise<{ position: string | null } | undefined> {
    const { now } = await this.clock.read();
    const { id, incarnation, host, pid, address, version, startedAt } = this.self;
    const [row] = await this.database.query<{ position: string | null }>(
      `insert into cluster.node as n
              (id, incarnation, host, pid, address, version, started_at, seen_at, alive_until, state, generation, problems)
       values ($1, $2, $3, $4, $5, $6, $7, now(), now() + $8::int * interval '1 ms', 'starting', 0, '{}')
       on conflict (id) do update set incarnation = excluded.incarnation, host = excluded.host, pid = excluded.pid,
              address = excluded.address, version = excluded.version, started_at = excluded.started_at, seen_at = excluded.seen_at,
              alive_until = excluded.alive_until, state = 'starting', generation = 0, problems = '{}'
        where n.alive_until <= least(now(), $9) returning position`,
      [id, incarnation, host, pid, address, version, startedAt, this.#silenceMs, now],
    );
    return row;
  }

  async #other() {
    const [row] = await this.database.query<{
      host: string;
      pid: number;
      address: string;
      incarnation: string;
      seen_at: string;
    }>('select host, pid, address, incarnation, seen_at::text from cluster.node where id = $1', [this.self.id]);
    return row;
  }

  async #remove(incarnation: string): Promise<void> {
    await this.database.query('update cluster.node set alive_until = now() where id = $1 and incarnation = $2', [
      this.self.id,
      incarnation,
    ]);
  }

  /** `$1` is for what now is. */
  async #rows(where: string, parameters: unknown[]): Promise<NodeRow[]> {
    const { now } = await this.clock.read();
    return this.database.query<NodeRow>(
      `select id, host, pid, address, version, started_at, seen_at, generation, problems,
              case when alive_until > least(now(), $1) then state when state = 'stopping' then 'stopped' else 'dead' end as state,
              generation >= (select generation from cluster.state) as converged
         from cluster.node where ${where}`,
      [now, ...parameters],
    );
  }
}

interface NodeRow {
  id: string;
  host: string;
  pid: number;
  address: string;
  version: string;
  started_at: Date;
  seen_at: Date;
  generation: string;
  problems: Record<string, string>;
  state: NodeView['state'];
  converged: boolean;
}

function toView({ started_at, seen_at, generation, problems, ...row }: NodeRow): NodeView {
  return {
    ...row,
    startedAt: new Date(started_at).toISOString(),
    lastSeenAt: new Date(seen_at).toISOString(),
    generation: Number(generation),
    problems: Object.entries(problems).map(([plugin, reason]) => ({ plugin, reason })),
  };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
