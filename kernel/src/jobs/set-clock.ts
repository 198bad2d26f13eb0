import type { Database } from '../database/index.js';
import { MAX_RETRY_DELAY } from './types.js';

const AHEAD = `now() + interval '1 second'`;
const SET_BACK = '(created_on - now())';

const STATEMENTS = [
  // A lease that was renewed in the future would outlast its owner by as much.
  `update pgboss.job set heartbeat_on = now() where state = 'active' and heartbeat_on > ${AHEAD}`,
  // What waits goes on waiting for what is left of it, and keeps its place among the others.
  `update pgboss.job
      set start_after = start_after - (${SET_BACK}),
          priority = least(2147483647, priority + extract(epoch from ${SET_BACK})::bigint)::int,
          created_on = now()
    where state = 'created' and created_on > ${AHEAD}`,
  `update pgboss.job set start_after = now()
    where state = 'retry' and start_after > now() + interval '${2 * MAX_RETRY_DELAY} seconds'`,
  // The minutes that schedules have done come again, and who looks for what is due looks by when it was looked for last.
  `update pgboss.job set singleton_on = null
    where name = '__pgboss__send-it' and singleton_on > (${AHEAD}) at time zone 'UTC'`,
  `update pgboss.version set cron_on = least(cron_on, now()), bam_on = least(bam_on, now()), flow_on = least(flow_on, now()),
          reindex_on = least(reindex_on, now()), monitor_backoff_on = null
    where greatest(cron_on, bam_on, flow_on, reindex_on) > ${AHEAD}`,
  `update pgboss.queue set monitor_on = least(monitor_on, now()), monitor_claim_on = least(monitor_claim_on, now()),
          maintain_on = least(maintain_on, now())
    where greatest(monitor_on, monitor_claim_on, maintain_on) > ${AHEAD}`,
];

/**
 * Brings what the queue says of the future back to now: it is from before the database's clock was set back. Otherwise jobs, retries and
 * schedules would stand still until that time comes again. Changes nothing when that was not so, or somebody else has done it.
 */
export async function catchUpWithClock(database: Database): Promise<void> {
  for (const sql of STATEMENTS) await database.query(sql);
}
