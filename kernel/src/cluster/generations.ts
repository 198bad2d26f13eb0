import { AtollError } from '@atoll/plugin-sdk/contract';
import { afterCommit, type Database } from '../database/index.js';
import { ChangeLease } from './change-lease.js';

/** How far the installation is, by numbers that only grow. */
export interface Standing {
  /** Of what should run. */
  generation: number;
  /** Of the packages that are shared. */
  packages: number;
}

export const CHANNEL = 'atoll_nodes';

/** Numbers each change of what the nodes should run; what a node has taken in, it acknowledges. */
export class Generations {
  /** What this node knows of, and what it has brought about. */
  seen = 0;
  acknowledged = 0;

  constructor(
    private readonly database: Database,
    private readonly lease: ChangeLease,
  ) {}

  async read(): Promise<Standing> {
    const [row] = await this.database.query<Record<keyof Standing, string>>(
      'select generation, packages from cluster.state',
    );
    return { generation: Number(row?.generation ?? 0), packages: Number(row?.packages ?? 0) };
  }

  /** After a restore the number may be less than those that were restored with it. */
  async repair(): Promise<Standing> {
    await this.database.query(
      'update cluster.state set generation = greatest(generation, (select coalesce(max(generation), 0) from plugin_state))',
    );
    return this.read();
  }

  /** In the transaction that changes what should run; resolves with the number of it. Throws CONFLICT without the right to. */
  async advance(): Promise<number> {
    const generation = await this.#next('generation');
    const upToDate = this.acknowledged === this.seen;
    afterCommit(() => {
      // It was this node that brought it about.
      this.seen = generation;
      if (upToDate) this.acknowledged = generation;
    });
    return generation;
  }

  /** The same for what is shared. */
  advancePackages(): Promise<number> {
    return this.#next('packages');
  }

  async #next(column: keyof Standing): Promise<number> {
    const [row] = await this.database.query<{ value: string }>(
      `update cluster.state set ${column} = ${column} + 1 where ${ChangeLease.HELD} returning ${column} as value`,
      [this.lease.holder],
    );
    if (!row)
      throw new AtollError(
        'CONFLICT',
        'Another node has changed what is installed meanwhile. Look at it and try again.',
      );
    await this.database.query('select pg_notify($1, $2)', [CHANNEL, column]);
    return Number(row.value);
  }
}
