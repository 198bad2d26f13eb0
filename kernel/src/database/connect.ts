import { Migrator } from '@mikro-orm/migrations';
import { MikroORM, type Options } from '@mikro-orm/postgresql';
import type pg from 'pg';
import type { Config } from '../config/index.js';
import type { EmbeddedServer } from './embedded/server.js';
import { ENTITIES } from './entities.js';
import { GuardedEntityManager } from './entity-manager.js';
import { MIGRATIONS, type NamedMigration } from './migrations/index.js';
import { observedClient, type QueryObserver } from './observed-client.js';

export interface ConnectOptions {
  config: Config['database'];
  /** Instead of `config.url`. */
  embedded?: EmbeddedServer;
  observe: QueryObserver;
  onPool: (pool: pg.Pool) => void;
  onWarning: (message: string) => void;
  migrations?: readonly NamedMigration[];
}

/** How pgvector searches: on until a filter is satisfied, and thoroughly. Unknown to a server without it, and harmless there. */
export const SESSION_SETTINGS = ['hnsw.iterative_scan=relaxed_order', 'hnsw.ef_search=100'];

export type Orm = MikroORM;

/** They share one session; a few keep it busy while others are on their way. */
export const EMBEDDED_POOL = 6;
/** The embedded engine can't cancel a statement; the driver gives up on it instead. */
const READ_TIMEOUT_MARGIN_MS = 1_000;

/** MikroORM over the embedded database or a PostgreSQL server: the same driver, entities and migrations for both. Does not connect yet. */
export function connect(options: ConnectOptions): Promise<Orm> {
  const { config, embedded } = options;
  return MikroORM.init({
    entities: ENTITIES,
    entityManager: GuardedEntityManager,
    extensions: [Migrator],
    ...(embedded ? { host: 'embedded', user: 'postgres', dbName: 'postgres' } : { dbName: nameOf(config.url!) }),
    pool: { min: 0, max: embedded ? EMBEDDED_POOL : config.poolMax, idleTimeoutMillis: 30_000 },
    driverOptions: driverOptions(options),
    migrations: {
      migrationsList: (options.migrations ?? MIGRATIONS).map(({ name, migration }) => ({ name, class: migration })),
      tableName: 'atoll_migration',
      snapshot: false,
      disableForeignKeys: false,
    },
    logger: options.onWarning,
    debug: ['info'],
    colors: false,
    timezone: 'Z',
    forceUtcTimezone: true,
  } as Options);
}

function driverOptions({ config, embedded, observe, onPool }: ConnectOptions): object {
  const { statementTimeoutMs } = config;
  return {
    Client: observedClient(observe),
    onPoolCreated: onPool,
    application_name: 'atoll',
    connectionTimeoutMillis: config.connectTimeoutMs,
    ...(embedded
      ? { stream: () => embedded.socket(), query_timeout: statementTimeoutMs + READ_TIMEOUT_MARGIN_MS }
      : {
          connectionString: config.url,
          statement_timeout: statementTimeoutMs,
          idle_in_transaction_session_timeout: config.idleTransactionMs,
          keepAlive: true,
          options: SESSION_SETTINGS.map((setting) => `-c ${setting}`).join(' '),
        }),
  };
}

function nameOf(url: string): string {
  return decodeURIComponent(new URL(url).pathname.slice(1)) || 'postgres';
}
