import pino from 'pino';
import Value from 'typebox/value';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Config, ConfigSchema } from '../config/index.js';
import { openTestDatabase, type TestDatabase } from '../database/testing.js';
import { EventBus } from '../events/index.js';
import { takeOver } from './leases.js';
import { JobService } from './service.js';
import { catchUpWithClock } from './set-clock.js';
import { type Claim, type JobDefinition, MAX_RETRY_DELAY } from './types.js';

const LIMITS = Value.Default(ConfigSchema.properties.jobs, {}) as Config['jobs'];
const definition: JobDefinition = { plugin: 'kernel', name: 'late', concurrency: 2, retries: 3, timeoutMs: 60_000 };
const QUEUE = 'kernel/late';

let db: TestDatabase;
let jobs: JobService;
let fail = true;
const ran: string[] = [];
const hold = Promise.withResolvers<void>();

beforeAll(async () => {
  db = await openTestDatabase();
  jobs = new JobService(db.database, new EventBus({ queueLimit: 100 }), LIMITS, pino({ level: 'silent' }));
  await jobs.prepare(definition);
});
afterAll(async () => {
  hold.resolve();
  await jobs?.close();
  await db?.close();
});

/** What a clock that is set back by an hour does to what was written before. */
const setBack = (columns: string, where: string) =>
  db.database.query(
    `update pgboss.job set ${columns
      .split(' ')
      .map((column) => `${column} = ${column} + interval '1 hour'`)
      .join(', ')} where ${where}`,
  );
const secondsLeft = async (id: string) => {
  const [row] = await db.database.query<{ s: string }>(
    'select extract(epoch from start_after - now()) as s from pgboss.job where id = $1',
    [id],
  );
  return Number(row!.s);
};

it('jobs that wait, wait no longer than they should when the clock is set back', async () => {
  const id = await jobs.send(definition, { org: 'default', data: 1, delayMs: 60_000 });
  expect(await secondsLeft(id)).toBeGreaterThan(30);
  const [before] = await db.database.query<{ priority: number }>('select priority from pgboss.job where id = $1', [id]);
  await setBack('created_on start_after', `id = '${id}'`);
  expect(await secondsLeft(id)).toBeGreaterThan(3_600);
  await catchUpWithClock(db.database);
  expect(await secondsLeft(id)).toBeLessThanOrEqual(60);
  expect(await secondsLeft(id)).toBeGreaterThan(30);
  // As if it had been sent now: one that is sent now is not before it.
  const [after] = await db.database.query<{ priority: number }>('select priority from pgboss.job where id = $1', [id]);
  expect(after!.priority - before!.priority).toBeGreaterThan(3_500);
  await catchUpWithClock(db.database);
  const [again] = await db.database.query<{ priority: number }>('select priority from pgboss.job where id = $1', [id]);
  expect(again).toEqual(after);
  await jobs.cancel(id);
});

it('a job that is tried again is so', async () => {
  const stop = jobs.work(definition, {
    live: () => true,
    run: async ({ id }: Claim) => {
      ran.push(id);
      if (fail) throw new Error('not yet');
      await hold.promise;
    },
  });
  const id = await jobs.send(definition, { org: 'default', data: 1 });
  await vi.waitFor(async () => expect((await jobs.get(id)).state).toBe('retrying'), 15_000);
  await setBack('created_on started_on start_after', `id = '${id}'`);
  expect(await secondsLeft(id)).toBeGreaterThan(2 * MAX_RETRY_DELAY);
  fail = false;
  await catchUpWithClock(db.database);
  await vi.waitFor(() => expect(ran.filter((one) => one === id)).toHaveLength(2), 15_000);
  expect((await jobs.get(id)).state).toBe('running');
  stop();
});

it('a lease ends with its owner, and not when the clock is set forward', async () => {
  const active = `name = '${QUEUE}' and state = 'active'`;
  const [lease] = await db.database.query<{ id: string }>(`select id from pgboss.job where ${active}`);
  await db.database.query('update pgboss.job set heartbeat_on = $1 where id = $2', [
    new Date(Date.now() + 3_600_000),
    lease!.id,
  ]);
  await catchUpWithClock(db.database);
  const ahead = await db.database.query(`select 1 from pgboss.job where ${active} and heartbeat_on > now()`);
  expect(ahead).toEqual([]);
  await db.database.transaction(async () => {
    // As an hour that was skipped makes it look, to a clock that knows of that and to one that does not.
    await db.database.query(`update pgboss.job set heartbeat_on = now() - interval '1 hour' where ${active}`);
    expect(await takeOver(db.database, new Date(Date.now() - 3_600_000))).toEqual([]);
    expect(await takeOver(db.database, new Date(Date.now() + 3_600_000))).toMatchObject([{ id: lease!.id }]);
  });
});

it('schedules and housekeeping go on', async () => {
  await db.database.query(`update pgboss.version set cron_on = now() + interval '1 hour'`);
  await db.database.query(`update pgboss.queue set monitor_on = now() + interval '1 hour' where name = $1`, [QUEUE]);
  await db.database.query(
    `insert into pgboss.job (name, singleton_key, singleton_on, state)
     values ('__pgboss__send-it', 'x', (now() + interval '1 hour') at time zone 'UTC', 'completed'),
            ('__pgboss__send-it', 'y', (now() - interval '1 minute') at time zone 'UTC', 'completed')`,
  );
  await catchUpWithClock(db.database);
  const [found] = await db.database.query(
    `select (select cron_on <= now() from pgboss.version) as cron,
            (select monitor_on <= now() from pgboss.queue where name = $1) as monitor,
            (select singleton_on is null from pgboss.job where singleton_key = 'x') as ahead,
            (select singleton_on is not null from pgboss.job where singleton_key = 'y') as past`,
    [QUEUE],
  );
  expect(found).toEqual({ cron: true, monitor: true, ahead: true, past: true });
});
