import type { Database } from '../database/index.js';
import type { Claim } from './types.js';

/** A job whose process has not been heard of for so long is somebody else's, in seconds. */
export const LEASE_SECONDS = 9;
/** A job that has lost its process so often may well be the reason. */
export const MAX_LOST = 3;

/** Back into the queue, with a try more: the one that ends so does not count. It keeps `started_on`, so the next claim has a higher token. */
const HAND_BACK = `state = 'retry', retry_limit = retry_limit + 1, output = null`;
const LOST = `data = jsonb_set(data, '{lost}', to_jsonb(coalesce((data->>'lost')::int, 0) + 1))`;

/** Says that these are still worked at; resolves with the ids of those that are. The others were cancelled or taken over. */
export async function renewLeases(database: Database, claims: readonly (Claim & { progress?: number })[]) {
  const rows = await database.query<{ id: string }>(
    `update pgboss.job j set heartbeat_on = now(),
            output = case when c.progress is null then j.output else jsonb_build_object('progress', c.progress) end
       from unnest($1::text[], $2::uuid[], $3::int[], $4::float8[]) as c(name, id, attempt, progress)
      where j.name = c.name and j.id = c.id and j.retry_count = c.attempt and j.state = 'active' returning j.id`,
    [
      claims.map(({ queue }) => queue),
      claims.map(({ id }) => id),
      claims.map(({ attempt }) => attempt),
      claims.map(({ progress }) => progress ?? null),
    ],
  );
  return new Set(rows.map(({ id }) => id));
}

/** Gives a claim back undone. False when it is no longer ours. */
export async function handBack(database: Database, { queue, id, attempt }: Claim, lost: boolean): Promise<boolean> {
  const rows = await database.query(
    `update pgboss.job set ${HAND_BACK}, start_after = now()${lost ? `, ${LOST}` : ''}
      where name = $1 and id = $2 and retry_count = $3 and state = 'active' returning id`,
    [queue, id, attempt],
  );
  return rows.length > 0;
}

export interface Orphan {
  name: string;
  id: string;
  attempt: number;
  /** It is waiting again; otherwise it has been lost too often and is still to be failed. */
  again: boolean;
}

/** Finds the jobs of processes that are gone, by a `LeaseClock`; those that may run again wait again. */
export async function takeOver(database: Database, now: Date): Promise<Orphan[]> {
  const silent = `state = 'active' and name like '%/%' and heartbeat_on < least(now(), $1) - interval '${LEASE_SECONDS} seconds'`;
  const lost = `coalesce((data->>'lost')::int, 0)`;
  const again = await database.query<Omit<Orphan, 'again'>>(
    `update pgboss.job set ${HAND_BACK}, ${LOST}, start_after = now()
      where ${silent} and ${lost} < ${MAX_LOST} returning name, id, retry_count as attempt`,
    [now],
  );
  const given = await database.query<Omit<Orphan, 'again'>>(
    `select name, id, retry_count as attempt from pgboss.job where ${silent} and ${lost} >= ${MAX_LOST}`,
    [now],
  );
  return [...again.map((one) => ({ ...one, again: true })), ...given.map((one) => ({ ...one, again: false }))];
}

/** What these statements, and the list of jobs, need to be quick. */
export const INDEXES = [
  `create index if not exists atoll_job_active on pgboss.job_common (heartbeat_on) where state = 'active'`,
  'create index if not exists atoll_job_id on pgboss.job_common (id)',
  'create index if not exists atoll_job_created on pgboss.job_common (created_on, id)',
];
