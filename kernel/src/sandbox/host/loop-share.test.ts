import { expect, it } from 'vitest';
import { LoopShare } from './loop-share.js';

it('gives a quarter of the time to one that always wants it, and never holds up what is quick', () => {
  let now = 0;
  const share = new LoopShare(() => now);
  let used = 0;
  while (now < 60_000) {
    const { waitMs } = share;
    now += waitMs;
    if (waitMs > 0) continue;
    share.use(() => {
      now += 50;
      used += 50;
    });
  }
  expect(used).toBeGreaterThan(60_000 * 0.24);
  expect(used).toBeLessThan(60_000 * 0.27);
  now += 10_000;
  for (let n = 0; n < 100_000; n++) {
    expect(share.waitMs).toBe(0);
    share.use(() => (now += 0.9));
  }
});
