import { randomBytes } from 'node:crypto';
import pg from 'pg';
import pino from 'pino';
import Value from 'typebox/value';
import { type Config, ConfigSchema } from '../config/index.js';
import { Metrics } from '../telemetry/metrics.js';
import { Database, type DatabaseOptions } from './database.js';

/** A PostgreSQL server on which test suites make databases of their own; without it they use the embedded one. */
export const TEST_SERVER = process.env.TEST_DATABASE_URL || undefined;

export interface TestDatabase {
  database: Database;
  /** Of the database on the server; undefined for the embedded one. */
  url: string | undefined;
  /** Closes it and leaves nothing behind. */
  close(): Promise<void>;
}

export interface TestDatabaseOptions extends Partial<Omit<DatabaseOptions, 'config'>> {
  config?: Partial<Config['database']>;
}

/** A fresh database of the engine under test: in memory, or one of its own on the server named by TEST_DATABASE_URL. */
export async function openTestDatabase(options: TestDatabaseOptions = {}): Promise<TestDatabase> {
  const server = TEST_SERVER && (await createTestDatabase(TEST_SERVER));
  const database = new Database({
    log: pino({ level: 'silent' }),
    metrics: new Metrics(),
    ...options,
    config: { ...databaseDefaults(), ...(server && { url: server.url }), ...options.config },
  });
  const close = async () => {
    await database.close();
    await (server || undefined)?.drop();
  };
  try {
    await database.open();
  } catch (error) {
    await close();
    throw error;
  }
  return { database, url: server ? server.url : undefined, close };
}

export function databaseDefaults(): Config['database'] {
  return Value.Default(ConfigSchema.properties.database, {}) as Config['database'];
}

/** A new, empty database on a server. */
export async function createTestDatabase(server: string): Promise<{ url: string; drop(): Promise<void> }> {
  const name = `atoll_test_${randomBytes(6).toString('hex')}`;
  await onServer(server, `create database ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => onServer(server, `drop database if exists ${name} with (force)`) };
}

async function onServer(server: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
