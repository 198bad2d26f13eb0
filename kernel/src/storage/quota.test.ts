import { expect, it } from 'vitest';
import { Quota, type Usage } from './quota.js';

const LIMITS = { maxRows: 100, maxBytes: 1_000 };

/** A quota whose count is made by hand. */
function counting() {
  const counts: ((usage: Usage) => void)[] = [];
  const quota = new Quota('sample', LIMITS, () => new Promise((resolve) => counts.push(resolve)), false);
  return { quota, counts };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('is counted before a transaction begins: the count may need the connection that the transaction holds', async () => {
  const { quota, counts } = counting();
  const usage = quota.usage();
  let begun = false;
  const done = quota.undoable(async () => {
    begun = true;
    await quota.reserve(1, 10);
  });
  await turn();
  expect(begun).toBe(false);
  counts[0]!({ rows: 5, bytes: 50 });
  await Promise.all([usage, done]);
  expect(await quota.usage()).toEqual({ rows: 6, bytes: 60 });
});

it('does not wait within a transaction for a count that another one has begun', async () => {
  const { quota, counts } = counting();
  const first = quota.usage();
  counts[0]!({ rows: 5, bytes: 50 });
  await first;
  let other: Promise<Usage> | undefined;
  const outside = turn().then(() => {
    other = quota.usage();
  });
  await quota.undoable(async () => {
    quota.recount();
    await outside;
    await quota.reserve(1, 10);
  });
  counts[1]!({ rows: 6, bytes: 60 });
  expect((await other)!.rows).toBeGreaterThanOrEqual(6);
});
