import type { PGlite } from '@electric-sql/pglite';
import { isDiskFull } from './disk-guard.js';
import type { SessionMux } from './session-mux.js';

const EVERY_MS = 5_000;
/** Log since the last checkpoint: what the folder grows by, and what a start after a crash reads again. */
const MAX_LOG_BYTES = 67_108_864;
/** A checkpoint that can't write its own small files ends the engine. */
const CHECKPOINT_NEEDS = 8_388_608;

/** The engine has no background processes: without this its log would grow as long as it runs. */
export function keepLogShort(db: PGlite, mux: SessionMux, dataDir: string | undefined): void {
  let looking = false;
  setInterval(() => {
    if (looking || (dataDir !== undefined && isDiskFull(dataDir, CHECKPOINT_NEEDS))) return;
    looking = true;
    // What fails here fails for the next statement of a connection as well, and is told there.
    mux
      .exclusive(() => checkpointWhenDue(db))
      .catch(() => {})
      .finally(() => {
        looking = false;
      });
  }, EVERY_MS);
}

async function checkpointWhenDue(db: PGlite): Promise<void> {
  const { rows } = await db.query<{ due: boolean }>(
    `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn) > ${MAX_LOG_BYTES} as due from pg_control_checkpoint()`,
  );
  if (rows[0]?.due) await db.exec('checkpoint');
}
