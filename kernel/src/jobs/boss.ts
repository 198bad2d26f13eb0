import { PgBoss, type Db } from 'pg-boss';
import type { Database } from '../database/index.js';
import { steadyClock } from './steady-clock.js';
import type { Logger } from '../telemetry/logger.js';

/** Statements by the kernel's own connections, as part of the transaction that the caller is in. */
export function inTransaction(database: Database): Db {
  return { executeSql: async (text, values) => ({ rows: await database.query(text, values ?? []) }) };
}

/** The queue over the kernel's database, with a few connections of its own for its housekeeping. */
export async function startBoss(database: Database, log: Logger): Promise<PgBoss> {
  const boss = new PgBoss({
    ...(database.connectionOptions as ConstructorParameters<typeof PgBoss>[0] & object),
    // The embedded database has one session: more would only wait for it.
    max: 2,
    connectionTimeoutMillis: 60_000,
    superviseIntervalSeconds: 60,
    cronMonitorIntervalSeconds: 5,
    cronWorkerIntervalSeconds: 2,
    // It goes by the database's clock, which it looks at only so often.
    clockMonitorIntervalSeconds: 5,
    clock: steadyClock,
    // An own index build may hold what it looks for; and the embedded database has nobody else to slow down.
    reindex: false,
    monitorVacuum: false,
  });
  boss.on('error', (error) => log.warn({ err: error }, 'the job queue failed; it goes on'));
  await boss.start();
  return boss;
}
