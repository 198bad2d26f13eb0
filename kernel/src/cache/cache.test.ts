import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import pino from 'pino';
import { TestRedisDoor } from '../../../test/support/redis-door.js';
import { connectRedis } from '../redis/connect.js';
import type { CacheStore } from './entry.js';
import { MemoryCacheStore } from './memory-store.js';
import { RedisCacheStore } from './redis-store.js';
import { CacheService } from './service.js';

const TEST_REDIS = process.env.TEST_REDIS_URL;
const LIMITS = {
  maxEntries: 5,
  maxBytes: 4_000,
  maxValueBytes: 1_024,
  defaultTtlMs: 60_000,
  maxLoadMs: 5_000,
  timeoutMs: 1_000,
};

const json = (value: unknown) => ({ kind: 'json' as const, data: Buffer.from(JSON.stringify(value)) });
const never = new AbortController().signal;

let plugin: string;
const at = (key: string, org = 'default', of = plugin) => ({ plugin: of, org, key });
const loader = (more: object = {}) => ({ deadline: performance.now() + 5_000, alive: () => true, ...more });

async function readValue(cache: CacheService, key: string, org = 'default', of = plugin): Promise<unknown> {
  const entry = await cache.get(at(key, org, of));
  return entry && JSON.parse(entry.data.toString());
}

/** `getOrSet` as the guest does it. */
async function load(cache: CacheService, key: string, work: () => Promise<unknown>, tags: string[] = []) {
  const boarding = await cache.board(at(key), tags, loader(), never);
  if (!('lead' in boarding)) return 'entry' in boarding ? JSON.parse(boarding.entry.data.toString()) : boarding;
  const value = await work();
  await cache.finish(plugin, boarding.lead, json(value), { tags });
  return value;
}

const backends: [string, () => { store: () => CacheStore; close: () => void }][] = [
  ['memory', () => ({ store: () => new MemoryCacheStore(LIMITS), close: () => {} })],
];
if (TEST_REDIS) {
  backends.push([
    'Redis',
    () => {
      const redis = connectRedis(TEST_REDIS, pino({ level: 'silent' }));
      return { store: () => new RedisCacheStore(redis, LIMITS), close: () => redis.disconnect() };
    },
  ]);
}

describe.each(backends)('a cache in %s', (name, open) => {
  const outcomes: string[] = [];
  let opened: ReturnType<typeof open>;
  let cache: CacheService;
  beforeAll(async () => {
    opened = open();
    cache = new CacheService(opened.store(), LIMITS, (_, outcome) => outcomes.push(outcome));
    plugin = 'warm-up';
    await vi.waitFor(async () => {
      await cache.set(at('x'), json(1), {});
      expect(await readValue(cache, 'x')).toBe(1);
    });
  });
  beforeEach(() => {
    plugin = `p-${randomUUID()}`;
    outcomes.length = 0;
  });
  afterAll(() => {
    cache.close();
    opened.close();
  });

  it('keeps values apart by plugin and organisation, for their time', async () => {
    await cache.set(at('k'), json('mine'), {});
    await cache.set(at('k', 'guest'), json('theirs'), {});
    await cache.set(at('bytes'), { kind: 'bytes', data: Buffer.from([0, 255, 254, 128]) }, {});
    expect(await readValue(cache, 'k')).toBe('mine');
    expect(await readValue(cache, 'k', 'guest')).toBe('theirs');
    expect(await readValue(cache, 'k', 'default', 'other')).toBeUndefined();
    expect(await cache.get(at('bytes'))).toEqual({ kind: 'bytes', data: Buffer.from([0, 255, 254, 128]) });
    expect(outcomes).toEqual(['hit', 'hit', 'miss', 'hit']);
    await cache.set(at('soon'), json(1), { ttlMs: 30 });
    await vi.waitFor(async () => expect(await readValue(cache, 'soon')).toBeUndefined());
    expect(await cache.delete(at('k'))).toBe(true);
    expect(await cache.delete(at('k'))).toBe(false);
    expect(await readValue(cache, 'k', 'guest')).toBe('theirs');
  });

  it('drops what has a tag, of that organisation only', async () => {
    await cache.set(at('a'), json(1), { tags: ['red', 'blue'] });
    await cache.set(at('b'), json(2), { tags: ['blue'] });
    await cache.set(at('c'), json(3), { tags: ['red'] });
    await cache.set(at('a', 'guest'), json(4), { tags: ['red'] });
    await cache.set(at('c'), json(5), {});
    await cache.invalidate(at(''), ['red', 'unknown']);
    expect([await readValue(cache, 'a'), await readValue(cache, 'b'), await readValue(cache, 'c')]).toEqual([
      undefined,
      2,
      5,
    ]);
    expect(await readValue(cache, 'a', 'guest')).toBe(4);
    await cache.clear(at(''));
    expect([await readValue(cache, 'b'), await readValue(cache, 'a', 'guest')]).toEqual([undefined, 4]);
    await cache.purge(plugin);
    expect(await readValue(cache, 'a', 'guest')).toBeUndefined();
  });

  it('evicts a plugin’s own entries when its share is full, those used longest ago first', async () => {
    await cache.set(at('k', 'default', `${plugin}-2`), json('stays'), {});
    for (const key of ['a', 'b', 'c', 'd', 'e']) await cache.set(at(key), json(key), {});
    expect(await readValue(cache, 'a')).toBe('a');
    await cache.set(at('f'), json('f'), {});
    expect([await readValue(cache, 'b'), await readValue(cache, 'a'), await readValue(cache, 'f')]).toEqual([
      undefined,
      'a',
      'f',
    ]);
    const large = 'x'.repeat(1_000);
    for (const key of ['1', '2', '3', '4']) await cache.set(at(key), json(large), {});
    expect([await readValue(cache, '1'), await readValue(cache, '4')]).toEqual([undefined, large]);
    expect(await readValue(cache, 'k', 'default', `${plugin}-2`)).toBe('stays');
    await expect(cache.set(at('big'), json('x'.repeat(2_000)), {})).rejects.toMatchObject({
      code: 'CACHE_VALUE_TOO_LARGE',
    });
    // Loaded, it is for those who asked; it is not kept.
    expect(await load(cache, 'big', async () => 'x'.repeat(2_000))).toHaveLength(2_000);
    expect(await readValue(cache, 'big')).toBeUndefined();
  });

  it('loads once for all who ask meanwhile', async () => {
    let loads = 0;
    const gate = Promise.withResolvers<void>();
    const work = async () => {
      loads++;
      await gate.promise;
      return { n: loads };
    };
    const asked = Array.from({ length: 20 }, () => load(cache, 'once', work));
    await vi.waitFor(() => expect(loads).toBe(1));
    gate.resolve();
    expect(new Set((await Promise.all(asked)).map((value) => JSON.stringify(value)))).toEqual(new Set(['{"n":1}']));
    expect(await load(cache, 'once', work)).toEqual({ n: 1 });
    expect(loads).toBe(1);
  });

  it('shares an error, but not that the one who loads has left', async () => {
    const first = await cache.board(at('k'), [], loader(), never);
    const waiting = cache.board(at('k'), [], loader(), never);
    await cache.abandon(plugin, (first as { lead: string }).lead, { code: 'NET_FAILED', message: 'no' });
    expect(await waiting).toMatchObject({ error: { code: 'NET_FAILED' } });

    const second = await cache.board(at('k'), [], loader(), never);
    const next = cache.board(at('k'), [], loader(), never);
    await cache.abandon(plugin, (second as { lead: string }).lead);
    const third = (await next) as { lead: string };
    expect(third.lead).toBeDefined();
    // Another plugin can't end it.
    await cache.finish('other', third.lead, json('evil'), {});
    await cache.finish(plugin, third.lead, json('good'), {});
    expect(await readValue(cache, 'k')).toBe('good');
  });

  it('goes on without one who crashed, or takes too long, and with who gives up waiting', async () => {
    let alive = true;
    const lead = (await cache.board(at('k'), [], loader({ alive: () => alive }), never)) as { lead: string };
    const waiting = cache.board(at('k'), [], loader(), never);
    const leaving = new AbortController();
    const left = cache.board(at('k'), [], loader(), leaving.signal);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');
    alive = false;
    const heir = (await waiting) as { lead: string };
    expect(heir.lead).not.toBe(lead.lead);
    await cache.finish(plugin, heir.lead, json('heir'), {});
    await cache.finish(plugin, lead.lead, json('too late'), {});
    expect(await readValue(cache, 'k')).toBe('heir');

    await cache.board(at('slow'), [], loader({ deadline: performance.now() + 50 }), never);
    expect(await cache.board(at('slow'), [], loader(), never)).toHaveProperty('lead');
  });

  it.each([
    ['its tag is invalidated', () => cache.invalidate(at(''), ['t'])],
    ['it is deleted', () => cache.delete(at('k'))],
    ['everything is cleared', () => cache.clear(at(''))],
    ['the plugin is purged', () => cache.purge(plugin)],
  ])('does not keep what was loaded while %s', async (_, invalidate) => {
    const before = (await cache.board(at('k'), ['t'], loader(), never)) as { lead: string };
    const waiting = cache.board(at('k'), ['t'], loader(), never);
    await invalidate();
    // Who asks from now on must not get what is on its way.
    const after = cache.board(at('k'), ['t'], loader(), never);
    await cache.finish(plugin, before.lead, json('old'), { tags: ['t'] });
    expect(await waiting).toMatchObject({ entry: json('old') });
    const { lead } = (await after) as { lead: string };
    expect(await readValue(cache, 'k')).toBeUndefined();
    await cache.finish(plugin, lead, json('new'), { tags: ['t'] });
    expect(await readValue(cache, 'k')).toBe('new');
  });

  it('keeps what is set while it is loaded', async () => {
    const { lead } = (await cache.board(at('k'), [], loader(), never)) as { lead: string };
    await cache.set(at('k'), json('set'), {});
    await cache.finish(plugin, lead, json('loaded'), {});
    expect(await readValue(cache, 'k')).toBe('set');
  });

  it.runIf(name === 'Redis')('is shared by nodes: values, invalidation, and who loads', async () => {
    const other = new CacheService(opened.store(), LIMITS, () => {});
    let loads = 0;
    const gate = Promise.withResolvers<void>();
    const work = async () => {
      loads++;
      await gate.promise;
      return loads;
    };
    const asked = [cache, other, cache, other].map((node) => load(node, 'k', work, ['t']));
    await vi.waitFor(() => expect(loads).toBe(1));
    gate.resolve();
    expect(await Promise.all(asked)).toEqual([1, 1, 1, 1]);
    expect(await readValue(other, 'k')).toBe(1);
    const { lead } = (await cache.board(at('mixed'), ['t'], loader(), never)) as { lead: string };
    await other.invalidate(at(''), ['t']);
    await cache.finish(plugin, lead, json('old'), { tags: ['t'] });
    expect([await readValue(cache, 'k'), await readValue(other, 'mixed')]).toEqual([undefined, undefined]);
  });
});

describe('a cache in memory', () => {
  it('lets go of what nobody asks for any more', async () => {
    let now = 1_000;
    const store = new MemoryCacheStore(LIMITS, () => now);
    const entry = json('x');
    const key = { plugin: 'p', org: 'default', key: 'k' };
    await store.set(key, entry, { ttlMs: 100, tags: ['t'] });
    now += 99;
    expect(await store.get(key)).toEqual(entry);
    now += 2;
    store.sweep();
    expect(await store.get(key)).toBeUndefined();
    await store.invalidate(key, ['t']);
    store.close();
  });

  it.each([3_600_000, -3_600_000])(
    'keeps entries as long as it should when the clock is set by %d ms',
    async (step) => {
      vi.useFakeTimers();
      // Nothing is made at the very moment that the process starts.
      vi.advanceTimersByTime(1);
      try {
        const store = new MemoryCacheStore(LIMITS);
        const key = { plugin: 'p', org: 'default', key: 'k' };
        await store.set(key, json('x'), { ttlMs: 100, tags: [] });
        vi.setSystemTime(Date.now() + step);
        vi.advanceTimersByTime(99);
        expect(await store.get(key)).toEqual(json('x'));
        vi.advanceTimersByTime(2);
        expect(await store.get(key)).toBeUndefined();
        store.close();
      } finally {
        vi.useRealTimers();
      }
    },
  );
});

describe.runIf(TEST_REDIS)('when the clock of Redis was set back', () => {
  it('what is from before that is loaded anew, and kept again', async () => {
    const redis = connectRedis(TEST_REDIS!, pino({ level: 'silent' }));
    const cache = new CacheService(new RedisCacheStore(redis, LIMITS), LIMITS, () => {});
    plugin = `p-${randomUUID()}`;
    const prefix = `atoll:cache:{${plugin}}:`;
    await vi.waitFor(async () => {
      await cache.set(at('k'), json('old'), { tags: ['t'] });
      expect(await readValue(cache, 'k')).toBe('old');
    });
    // Microseconds: what was in the present is an hour ahead now.
    await redis.zincrby(`${prefix}use`, 3_600_000_000, 'default:k');
    expect(await readValue(cache, 'k')).toBeUndefined();
    await cache.invalidate(at(''), ['t']);
    await redis.set(`${prefix}m:t:default:t`, String((Date.now() + 3_600_000) * 1_000));
    // Whether this was invalidated while it was loaded nobody can tell, but of the next one they can.
    await load(cache, 'k', async () => 'doubtful', ['t']);
    expect(await readValue(cache, 'k')).toBeUndefined();
    await load(cache, 'k', async () => 'new', ['t']);
    expect(await readValue(cache, 'k')).toBe('new');
    // Somebody who loads, and is gone.
    await redis.set(`${prefix}l:default:gone`, 'x', 'PX', 3_600_000);
    const patience = AbortSignal.timeout(300);
    await cache.board(at('gone'), [], loader(), patience).catch(() => {});
    expect(await redis.pttl(`${prefix}l:default:gone`)).toBeLessThanOrEqual(LIMITS.maxLoadMs);
    await cache.purge(plugin);
    redis.disconnect();
  });
});

describe.runIf(TEST_REDIS)('while Redis is away', () => {
  let door: TestRedisDoor;
  let redis: Redis;
  let direct: Redis;
  let cache: CacheService;
  let other: CacheService;
  beforeAll(async () => {
    door = await TestRedisDoor.open(TEST_REDIS!);
    redis = connectRedis(door.url, pino({ level: 'silent' }));
    direct = connectRedis(TEST_REDIS!, pino({ level: 'silent' }));
    const limits = { ...LIMITS, timeoutMs: 300 };
    cache = new CacheService(new RedisCacheStore(redis, limits), limits, () => {});
    other = new CacheService(new RedisCacheStore(direct, LIMITS), LIMITS, () => {});
  });
  beforeEach(() => {
    plugin = `p-${randomUUID()}`;
  });
  afterAll(() => {
    redis.disconnect();
    direct.disconnect();
    door.close();
  });
  const fill = async (key: string, value: unknown) => {
    await vi.waitFor(async () => {
      await cache.set(at(key), json(value), { tags: ['t'] });
      expect(await readValue(cache, key)).toBe(value);
    }, 10_000);
  };

  it.each([
    ['breaks', () => door.shut()],
    ['is silent', () => door.hold()],
  ])(
    'when the connection %s, nothing is cached, nothing fails, and what was invalidated meanwhile is gone later',
    async (_, lose) => {
      await fill('tagged', 1);
      await fill('kept', 2);
      await fill('replaced', 3);
      lose();
      expect(await readValue(cache, 'kept')).toBeUndefined();
      await cache.invalidate(at(''), ['t2']);
      await cache.set(at('replaced'), json(4), {});
      await cache.delete(at('tagged'));
      let loads = 0;
      for (let n = 0; n < 2; n++) expect(await load(cache, 'k', async () => ++loads)).toBe(n + 1);
      door.release();
      await vi.waitFor(async () => expect(await readValue(cache, 'kept')).toBe(2), 10_000);
      expect([await readValue(cache, 'tagged'), await readValue(cache, 'replaced')]).toEqual([undefined, undefined]);
      // Also where the others look.
      expect([await readValue(other, 'tagged'), await readValue(other, 'kept')]).toEqual([undefined, 2]);
      await cache.purge(plugin);
    },
  );
});
