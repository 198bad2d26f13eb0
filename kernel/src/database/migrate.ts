import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Transaction } from '@mikro-orm/core';
import type pg from 'pg';
import type { Orm } from './connect.js';
import { withoutLiterals } from './literals.js';

/** Kernels that start at the same time on one PostgreSQL take turns by this advisory lock. */
const LOCK = 7_070_001;

export interface MigrationStatus {
  executed: string[];
  pending: string[];
}

/** Runs migrations under a lock; those of one run are applied as a whole or not at all. */
export class Migrations {
  constructor(
    private readonly orm: Orm,
    /** Of a server that others use, too. The embedded database has one session, and its folder is locked. */
    private readonly shared: pg.Pool | undefined,
  ) {}

  async status(): Promise<MigrationStatus> {
    const { migrator } = this.orm;
    const [executed, pending] = [await migrator.getExecuted(), await migrator.getPending()];
    return { executed: executed.map(({ name }) => name), pending: pending.map(({ name }) => name) };
  }

  /** Applies what is pending; resolves with the names. Throws DATABASE_NEWER or MIGRATION_FAILED. */
  up(): Promise<string[]> {
    return this.#locked(async () => {
      await this.#assertKnown();
      return this.#run((transaction) => this.orm.migrator.up({ transaction }));
    });
  }

  /** Applies exactly these, as an older version had them. Throws DATABASE_NEWER for one that is not known here. */
  upTo(names: readonly string[]): Promise<string[]> {
    return this.#locked(async () => {
      const { pending } = await this.status();
      const unknown = names.filter((name) => !pending.includes(name));
      if (unknown.length > 0)
        throw new AtollError('DATABASE_NEWER', `It has migrations that are not known here: ${unknown.join(', ')}.`);
      if (names.length === 0) return [];
      return this.#run((transaction) => this.orm.migrator.up({ migrations: [...names], transaction }));
    });
  }

  /** Undoes the latest migration, or all after the one named. */
  down(to?: string): Promise<string[]> {
    return this.#locked(async () => {
      await this.#assertKnown();
      const { executed } = await this.status();
      if (executed.length === 0) return [];
      if (to === undefined) return this.#run((transaction) => this.orm.migrator.down({ transaction }));
      if (to !== '0' && !executed.includes(to))
        throw new AtollError('NOT_FOUND', `The migration "${to}" is not applied. Applied: ${executed.join(', ')}.`);
      const undo = to === '0' ? executed : executed.slice(executed.indexOf(to) + 1);
      if (undo.length === 0) return [];
      return this.#run((transaction) => this.orm.migrator.down({ migrations: undo.toReversed(), transaction }));
    });
  }

  /** In one transaction, whose statements on a server may take as long as they need: tables may have grown large. */
  async #run(run: (transaction: Transaction) => Promise<{ name: string }[]>): Promise<string[]> {
    const connection = this.orm.em.getConnection();
    try {
      const done = await connection.transactional(async (transaction: Transaction) => {
        if (this.shared) await connection.execute('set local statement_timeout = 0', [], 'run', transaction);
        return run(transaction);
      });
      return done.map(({ name }) => name);
    } catch (error) {
      const reason = withoutLiterals(error instanceof Error ? error.message : String(error));
      throw new AtollError('MIGRATION_FAILED', reason, {}, { cause: error });
    }
  }

  /** A database that a newer Atoll has migrated may look different from what this one expects. */
  async #assertKnown(): Promise<void> {
    const known = new Set(
      this.orm.config.get('migrations').migrationsList?.map((entry) => (entry as { name: string }).name),
    );
    const unknown = (await this.orm.migrator.getExecuted()).filter(({ name }) => !known.has(name));
    if (unknown.length > 0)
      throw new AtollError(
        'DATABASE_NEWER',
        `The database has migrations that are not known here: ${unknown.map(({ name }) => name).join(', ')}.`,
      );
  }

  async #locked<T>(task: () => Promise<T>): Promise<T> {
    if (!this.shared) return task();
    const holder = await this.shared.connect();
    try {
      // Waiting for another kernel's migrations may take longer than any statement should.
      await holder.query('begin');
      await holder.query('set local statement_timeout = 0');
      await holder.query('set local idle_in_transaction_session_timeout = 0');
      await holder.query('select pg_advisory_xact_lock($1)', [LOCK]);
      return await task();
    } finally {
      await holder.query('rollback').catch(() => {});
      holder.release();
    }
  }
}
