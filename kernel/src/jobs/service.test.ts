import fc from 'fast-check';
import pino from 'pino';
import Value from 'typebox/value';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type Config, ConfigSchema } from '../config/index.js';
import { openTestDatabase, type TestDatabase } from '../database/testing.js';
import { EventBus } from '../events/index.js';
import { PRIORITIES, priorityNumber } from './priority.js';
import { JobService } from './service.js';
import type { Claim, JobDefinition } from './types.js';

const LIMITS = Value.Default(ConfigSchema.properties.jobs, {}) as Config['jobs'];
const definition: JobDefinition = { plugin: 'kernel', name: 'echo', concurrency: 2, retries: 0, timeoutMs: 1_000 };
const request = { org: 'default', data: 1 };

let db: TestDatabase;
let jobs: JobService;
const ran: string[] = [];

beforeAll(async () => {
  db = await openTestDatabase();
  jobs = new JobService(db.database, new EventBus({ queueLimit: 100 }), LIMITS, pino({ level: 'silent' }));
  await jobs.prepare(definition);
  jobs.work(definition, {
    live: () => true,
    run: async ({ id, data }: Claim) => {
      ran.push(id);
      return data.data;
    },
  });
});
afterAll(async () => {
  await jobs?.close();
  await db?.close();
});

it('stores a job with the transaction that sends it, or not at all', async () => {
  const kept = await db.database.transaction(() => jobs.send(definition, request));
  await vi.waitFor(async () => expect(await jobs.get(kept)).toMatchObject({ state: 'completed', result: 1 }), 15_000);
  let dropped = '';
  const failing = db.database.transaction(async () => {
    dropped = await jobs.send(definition, request);
    throw new Error('undone');
  });
  await expect(failing).rejects.toThrow('undone');
  await expect(jobs.get(dropped)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(ran).toEqual([kept]);
  expect(await jobs.get(kept, 'default')).toMatchObject({ id: kept });
  for (const act of ['get', 'cancel', 'replay'] as const)
    await expect(jobs[act](kept, 'another')).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

it('does each of many jobs once', async () => {
  const ids = await Promise.all(Array.from({ length: 60 }, (_, n) => jobs.send(definition, { ...request, data: n })));
  await vi.waitFor(
    async () => expect((await jobs.list({ limit: 100, state: 'completed' })).items).toHaveLength(61),
    20_000,
  );
  expect(ran.slice(1).toSorted()).toEqual(ids.toSorted());
});

it('refuses more than may wait', async () => {
  const narrow = new JobService(
    db.database,
    new EventBus({ queueLimit: 100 }),
    { ...LIMITS, maxWaiting: 2 },
    pino({ level: 'silent' }),
  );
  const idle = { ...definition, plugin: 'idle' };
  await narrow.prepare(idle);
  // Nobody has asked for this queue before.
  for (let n = 0; n < 2; n++) await db.database.transaction(() => narrow.send(idle, request));
  await expect(narrow.send(idle, request)).rejects.toMatchObject({ code: 'OVERLOADED' });
  await narrow.close();
});

it('lets who waits rise: a level is worth the aging time, and no more', () => {
  const priority = fc.constantFrom(...PRIORITIES);
  const at = fc.integer({ min: Date.UTC(2026, 0), max: Date.UTC(2050, 0) });
  fc.assert(
    fc.property(priority, priority, at, fc.integer({ min: 0, max: 600 }), (low, high, now, waited) => {
      const ahead = PRIORITIES.indexOf(high) - PRIORITIES.indexOf(low);
      const older = priorityNumber(low, 60, now - waited * 1000);
      const newer = priorityNumber(high, 60, now);
      expect(Math.sign(older - newer)).toBe(Math.sign(waited - ahead * 60));
      expect(Math.abs(newer)).toBeLessThan(2 ** 31);
    }),
  );
});
