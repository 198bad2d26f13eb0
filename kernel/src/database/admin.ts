import { existsSync } from 'node:fs';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import pino from 'pino';
import type { Config } from '../config/index.js';
import { makeCollectionTables } from '../storage/restore.js';
import { Metrics } from '../telemetry/metrics.js';
import { type CheckReport, checkDatabase } from './backup/check.js';
import { type BackupSummary, dumpTo } from './backup/dump.js';
import { restoreInto, verifyBackup } from './backup/restore.js';
import { replaceDataDir } from './backup/swap.js';
import { Database } from './database.js';
import type { MigrationStatus } from './migrate.js';

export type { BackupSummary, CheckReport };

/** Every schema that may hold something of ours. */
const OUR_SCHEMAS = ['public', 'plugin_data', 'pgboss', 'cluster'];

/** What an operator does with the database of a server that does not run; on PostgreSQL also while it does, where that is harmless. */
export class DatabaseAdmin {
  readonly #dataDir: string;

  constructor(
    private readonly config: Config,
    dataDir: string,
  ) {
    this.#dataDir = path.join(dataDir, 'database');
  }

  /** Names of the migrations that were applied. Makes an embedded database when there is none. */
  migrate(): Promise<string[]> {
    return this.#with(async (database) => (await database.migrations()).up(), this.#dataDir);
  }

  status(): Promise<MigrationStatus> {
    return this.#with(async (database) => (await database.migrations()).status());
  }

  /** Undoes the latest migration, or all after the one named (`0`: all). */
  rollback(to: string | undefined): Promise<string[]> {
    return this.#with(async (database) => {
      await assertAlone(database);
      return (await database.migrations()).down(to);
    });
  }

  backup(file: string): Promise<BackupSummary> {
    return this.#with((database) => dumpTo(database, file));
  }

  check(): Promise<CheckReport> {
    return this.#with(checkDatabase);
  }

  /** Replaces the database by a backup. Of the embedded one the old folder is kept; on a server `force` allows to drop what is there. */
  async restore(file: string, force: boolean): Promise<BackupSummary & { kept?: string }> {
    await verifyBackup(file);
    if (this.config.database.url) {
      await this.#with((database) => makeRoom(database, force));
      // Anew, because what has been dropped is remembered as being there.
      return this.#with((database) => restoreInto(database, file, makeCollectionTables));
    }
    let summary: BackupSummary | undefined;
    const kept = await replaceDataDir(this.#dataDir, async (newDir) => {
      summary = await this.#with((database) => restoreInto(database, file, makeCollectionTables), newDir);
    });
    return { ...summary!, ...(kept !== undefined && { kept }) };
  }

  /** Looking at a database must not make one. */
  #existing(): string {
    if (this.config.database.url || existsSync(this.#dataDir)) return this.#dataDir;
    throw new AtollError('NOT_FOUND', `There is no database in ${this.#dataDir}.`);
  }

  async #with<T>(work: (database: Database) => Promise<T>, dataDir = this.#existing()): Promise<T> {
    const log = pino({ level: 'silent' });
    const database = new Database({
      config: this.config.database,
      dataDir,
      log,
      metrics: new Metrics(),
      migrate: false,
    });
    try {
      await database.open();
      return await work(database);
    } finally {
      await database.close();
    }
  }
}

async function makeRoom(database: Database, force: boolean): Promise<void> {
  await assertAlone(database);
  const { executed } = await (await database.migrations()).status();
  if (executed.length === 0) return;
  if (!force)
    throw new AtollError(
      'CONFLICT',
      'The database is not empty. Restore into an empty one, or drop what is there with --force.',
    );
  await dropEverything(database);
}

async function dropEverything(database: Database): Promise<void> {
  await database.transaction(async () => {
    const tables = await database.query<{ name: string }>(
      `select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname = any($1::text[])`,
      [OUR_SCHEMAS],
    );
    for (const { name } of tables) await database.query(`drop table if exists ${name} cascade`);
    for (const schema of OUR_SCHEMAS.slice(1)) await database.query(`drop schema if exists ${schema} cascade`);
  });
}

/** What changes tables under running kernels breaks them. */
async function assertAlone(database: Database): Promise<void> {
  if (database.engine === 'embedded') return;
  const others = await database.query<{ pid: number; client: string | null }>(
    `select pid, host(client_addr) as client from pg_stat_activity
      where application_name = 'atoll' and datname = current_database() and pid <> pg_backend_pid()`,
  );
  const own = await database.connectionPids();
  const foreign = others.filter(({ pid }) => !own.includes(pid));
  if (foreign.length > 0)
    throw new AtollError(
      'DATABASE_LOCKED',
      `Kernels use this database, from ${[...new Set(foreign.map(({ client }) => client ?? 'here'))].join(', ')}.`,
    );
}
