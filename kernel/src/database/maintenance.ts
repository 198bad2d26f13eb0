import type { Logger } from '../telemetry/logger.js';
import type { Database } from './database.js';

const EVERY_MS = 60_000;
/** As a server's own: a table is tended when this much of it, and at least so many rows, have changed. */
const SHARE = 0.1;
const AT_LEAST = 500;

/**
 * The embedded database has no background processes, so nothing would ever clear dead rows away or count what there is for the planner.
 * One table at a time: everybody else waits for it.
 */
export function tendEmbedded(database: Database, log: Logger): () => void {
  let running = false;
  const timer = setInterval(() => {
    if (running || !database.reachable) return;
    running = true;
    tend(database)
      .catch((error) => log.debug({ err: error }, 'the database could not be tended'))
      .finally(() => {
        running = false;
      });
  }, EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** Vacuums and analyses what has changed a lot; resolves with the names of those tables. */
export async function tend(database: Database): Promise<string[]> {
  // What a session has counted is otherwise seen a while later, and a session that rests tells nothing.
  await database.query('select pg_stat_force_next_flush()');
  const rows = await database.query<{ name: string }>(
    `select format('%I.%I', schemaname, relname) as name from pg_stat_user_tables
      where greatest(n_dead_tup, n_mod_since_analyze) > ${AT_LEAST} + ${SHARE} * n_live_tup`,
  );
  for (const { name } of rows) await database.unlimited(`vacuum (analyze) ${name}`);
  return rows.map(({ name }) => name);
}
