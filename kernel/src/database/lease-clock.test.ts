import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Database } from './database.js';
import { LeaseClock } from './lease-clock.js';

const HOUR_MS = 3_600_000;

/** What the database's clock is off by. */
let step = 0;
const database = { query: async () => [{ ms: String(Date.now() + step) }] } as unknown as Pick<Database, 'query'>;

beforeEach(() => {
  step = 0;
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

/** How far the lease's time is from what it would be without any step, over so many seconds. */
async function follow(clock: LeaseClock, seconds: number): Promise<number[]> {
  const off: number[] = [];
  for (let n = 0; n < seconds; n++) {
    vi.advanceTimersByTime(1_000);
    off.push((await clock.read()).now.getTime() - Date.now());
  }
  return off;
}

it('a clock that runs evenly is taken as it is', async () => {
  step = 60_000;
  const clock = new LeaseClock(database);
  expect(await follow(clock, 3)).toEqual([60_000, 60_000, 60_000]);
  expect(await clock.read()).toMatchObject({ unsettled: true });
  await follow(clock, 10);
  expect(await clock.read()).toMatchObject({ unsettled: false });
});

it('one that is set forward is followed when owners have had the time to renew', async () => {
  const clock = new LeaseClock(database);
  await follow(clock, 2);
  step = HOUR_MS;
  const off = await follow(clock, 12);
  expect(off.slice(0, 10)).toEqual(Array.from({ length: 10 }, () => 0));
  expect(off.slice(10)).toEqual([HOUR_MS, HOUR_MS]);
});

it('one that is only ahead for a while never counts', async () => {
  const clock = new LeaseClock(database);
  await follow(clock, 2);
  step = HOUR_MS;
  await follow(clock, 5);
  step = 0;
  expect(await follow(clock, 2)).toEqual([0, 0]);
  step = HOUR_MS;
  expect(await follow(clock, 9)).toEqual(Array.from({ length: 9 }, () => 0));
});

it('one that is set back is followed at once, and said to be unsettled for a while', async () => {
  const clock = new LeaseClock(database);
  await follow(clock, 12);
  step = -HOUR_MS;
  expect(await follow(clock, 1)).toEqual([-HOUR_MS]);
  expect(await clock.read()).toMatchObject({ unsettled: true });
  await follow(clock, 11);
  expect(await clock.read()).toMatchObject({ unsettled: false });
});

it('one that runs a little faster or slower was not set', async () => {
  const clock = new LeaseClock(database);
  await follow(clock, 12);
  for (const drift of [300, -300, 900]) {
    step += drift;
    expect(await follow(clock, 1)).toEqual([step]);
  }
  expect(await clock.read()).toMatchObject({ unsettled: false });
});
