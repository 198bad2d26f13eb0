import { randomUUID } from 'node:crypto';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Redis } from 'ioredis';
import { connectRedis } from '../redis/connect.js';
import { Counters } from './counters.js';

const TEST_REDIS = process.env.TEST_REDIS_URL || undefined;

describe.runIf(TEST_REDIS)('a window in Redis', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = connectRedis(TEST_REDIS!, pino({ level: 'silent' }));
    await vi.waitFor(() => expect(redis.status).toBe('ready'));
  });
  afterAll(() => redis.disconnect());

  it('is not longer than it should be when the clock of Redis was set back', async () => {
    const rule = { id: `back-${randomUUID()}`, per: 'user' as const, class: 'read' as const, points: 1, seconds: 60 };
    expect(await new Counters(rule, redis).count('ada')).toMatchObject({ allowed: true });
    // The end of the window stays where it was, an hour later than the clock has it now.
    await redis.pexpire(`atoll:limit:${rule.id}:ada`, 3_660_000);
    expect(await new Counters(rule, redis).count('ada')).toEqual({ allowed: false, remaining: 0, resetMs: 60_000 });
    expect(await redis.pttl(`atoll:limit:${rule.id}:ada`)).toBeLessThanOrEqual(60_000);
  });

  it('is not asked for again by whom it has refused, whatever the system clock says', async () => {
    const rule = { id: `far-${randomUUID()}`, per: 'user' as const, class: 'read' as const, points: 1, seconds: 1 };
    const counters = new Counters(rule, redis);
    await counters.count('ada');
    expect((await counters.count('ada')).allowed).toBe(false);
    const consumed = await redis.get(`atoll:limit:${rule.id}:ada`);
    const now = vi.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
    expect((await counters.count('ada')).allowed).toBe(false);
    expect(await redis.get(`atoll:limit:${rule.id}:ada`)).toBe(consumed);
    await vi.waitFor(async () => expect((await counters.count('ada')).allowed).toBe(true), 10_000);
    now.mockRestore();
  });
});
