import { testPlugin } from '@atoll/plugin-sdk/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { TestKernel } from '../../kernel/src/identity/testing.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

/* The cache of a plugin, all the way: isolate, kernel, memory or Redis. */

const TEST_REDIS = process.env.TEST_REDIS_URL;
const SOURCE = pluginSource(`
  let loads = 0;
  let open;
  let gate = Promise.resolve();
  const told = async (run) => {
    try { return { value: (await run()) ?? null, loads }; }
    catch (error) { return { code: error.code, message: error.message }; }
  };
  const Set = Type.Object({ key: Type.String(), value: Type.Any(), options: Type.Optional(Type.Any()) });
  http.post('/set', { body: Set }, ({ body }) => told(() => cache.set(body.key, body.value, body.options)));
  http.get('/get/:key', ({ params }) => told(() => cache.get(params.key)));
  http.delete('/get/:key', ({ params }) => told(() => cache.delete(params.key)));
  http.post('/invalidate/:tag', ({ params }) => told(() => cache.invalidateTag(params.tag)));
  http.post('/clear', () => told(() => cache.clear()));
  http.post('/bytes', () => told(async () => {
    await cache.set('bytes', new Uint8Array([7, 0, 255, 254, 128]).subarray(1), { ttl: 60000 });
    const back = await cache.get('bytes');
    return { bytes: back instanceof Uint8Array, values: [...back] };
  }));
  http.post('/hold', () => { gate = new Promise((resolve) => { open = resolve; }); return {}; });
  http.post('/open', () => { open(); return {}; });
  http.get('/loads', () => ({ loads }));
  http.get('/load/:key', { timeoutMs: 20000 }, ({ params }) => told(() => cache.getOrSet(params.key, async () => {
    const n = ++loads;
    await gate;
    if (params.key.startsWith('bad')) throw new RangeError('no such thing');
    return params.key.startsWith('bin') ? new Uint8Array([n, 255]) : { at: new Date(0), n };
  }, { tags: ['loaded'] })));
`);

let plugin: PluginOnDisk;
const id = `caching-${Date.now().toString(36)}`;
beforeAll(() => {
  plugin = writePlugin(id, SOURCE, { permissions: { cache: true } });
});
afterAll(() => plugin.remove());

interface Told {
  value: unknown;
  loads: number;
  code?: string;
  message?: string;
}

const backends: [name: string, url: string | undefined][] = [['memory', undefined]];
if (TEST_REDIS) backends.push(['Redis', TEST_REDIS]);

describe.each(backends)('in %s', (_, redis) => {
  let test: TestKernel;
  let guest: string;
  beforeAll(async () => {
    test = await TestKernel.start((config) => {
      if (redis) config.redis.url = redis;
      config.plugins.path = [plugin.dir];
      config.cache.maxValueBytes = 2_048;
    });
    await test.call('POST', '/api/v1/organisations', { body: { id: 'guest', name: 'Guest' } });
    await test.user('visitor', ['user'], 'guest');
    guest = (await test.login('visitor')).accessToken;
    await vi.waitFor(async () => {
      await tell('POST', '/set', { body: { key: 'warm', value: 1 } });
      expect(await tell('GET', '/get/warm')).toMatchObject({ value: 1 });
    });
  });
  afterAll(async () => {
    await test.call('DELETE', `/api/v1/plugins/${id}/data`);
    await test.close();
  });

  const tell = async (method: string, path: string, options: { as?: string; body?: unknown } = {}): Promise<Told> =>
    (await test.call<Told & Record<string, unknown>>(method, `/x/${id}${path}`, options)).body;
  const get = async (key: string, as?: string) => (await tell('GET', `/get/${key}`, as ? { as } : {})).value;

  it('keeps JSON and bytes, apart for each organisation', async () => {
    await tell('POST', '/set', { body: { key: 'k', value: { deep: ['ü', 1, null] }, options: { tags: ['t'] } } });
    expect(await get('k')).toEqual({ deep: ['ü', 1, null] });
    expect(await get('k', guest)).toBeNull();
    await tell('POST', '/set', { body: { key: 'k', value: 'theirs', options: { tags: ['t'] } }, as: guest });
    expect((await tell('POST', '/bytes')).value).toEqual({ bytes: true, values: [0, 255, 254, 128] });
    await tell('POST', '/invalidate/t');
    expect([await get('k'), await get('k', guest)]).toEqual([null, 'theirs']);
    expect((await tell('DELETE', '/get/k')).value).toBe(false);
    expect((await tell('DELETE', '/get/k', { as: guest })).value).toBe(true);
    const large = await tell('POST', '/set', { body: { key: 'k', value: 'x'.repeat(3_000) } });
    expect(large.code).toBe('CACHE_VALUE_TOO_LARGE');
    for (const body of [
      { key: '', value: 1 },
      { key: 'k', value: 1, options: { ttl: -1 } },
      { key: 'k', value: 1, options: { tags: [1] } },
    ])
      expect(await tell('POST', '/set', { body })).toMatchObject({ code: 'VALIDATION_FAILED' });
  });

  it('loads once for many callers of an organisation, and gives all the same', async () => {
    await tell('POST', '/hold');
    const before = (await tell('GET', '/loads')).loads;
    const many = Array.from({ length: 12 }, () => tell('GET', '/load/k'));
    const theirs = tell('GET', '/load/k', { as: guest });
    await vi.waitFor(async () => expect((await tell('GET', '/loads')).loads).toBe(before + 2));
    await tell('POST', '/open');
    const values = (await Promise.all(many)).map(({ value }) => value as { at: string; n: number });
    expect(new Set(values.map((value) => JSON.stringify(value))).size).toBe(1);
    // The one who loaded has what a later one gets: JSON.
    expect(values[0]!.at).toBe('1970-01-01T00:00:00.000Z');
    expect((await theirs).value).not.toEqual(values[0]);
    expect((await tell('GET', '/load/k')).value).toEqual(values[0]);
    expect((await tell('GET', '/loads')).loads).toBe(before + 2);
    const [one, two] = [await tell('GET', '/load/bin'), await tell('GET', '/load/bin')];
    expect(two.value).toEqual(one.value);
    await tell('POST', '/invalidate/loaded');
    expect((await tell('GET', '/load/k')).loads).toBe(before + 4);
  });

  it('gives an error to all who wait for it, and keeps none', async () => {
    await tell('POST', '/hold');
    const before = (await tell('GET', '/loads')).loads;
    const many = Array.from({ length: 3 }, () => tell('GET', '/load/bad'));
    await vi.waitFor(async () => expect((await tell('GET', '/loads')).loads).toBe(before + 1));
    await tell('POST', '/open');
    for (const { message } of await Promise.all(many)) expect(message).toMatch(/no such thing/);
    await tell('GET', '/load/bad');
    expect((await tell('GET', '/loads')).loads).toBe(before + 2);
  });

  it('goes on when the one who loads has left', async () => {
    await tell('POST', '/hold');
    const before = (await tell('GET', '/loads')).loads;
    const leaving = new AbortController();
    const init = { headers: { authorization: 'Bearer root-key-of-these-tests' }, signal: leaving.signal };
    const left = fetch(`${test.url}/x/${id}/load/left`, init).catch(() => 'left');
    await vi.waitFor(async () => expect((await tell('GET', '/loads')).loads).toBe(before + 1));
    const waiting = tell('GET', '/load/left');
    leaving.abort();
    expect(await left).toBe('left');
    await tell('POST', '/open');
    expect((await waiting).value).toMatchObject({ n: expect.any(Number) });
  });

  it('counts hits and misses, and forgets with the plugin’s data', async () => {
    await tell('POST', '/set', { body: { key: 'k', value: 1 } });
    expect(await get('k')).toBe(1);
    const { body } = await test.call<string>('GET', '/metrics');
    for (const outcome of ['hit', 'miss'])
      expect(String(body)).toMatch(
        new RegExp(`atoll_cache_lookups_total\\{plugin="${id}",outcome="${outcome}"\\} [1-9]`),
      );
    await test.call('DELETE', `/api/v1/plugins/${id}/data`);
    expect(await get('k')).toBeNull();
  });
});

it('is for those who ask for it, and follows the clock of a test', async () => {
  const other = writePlugin(
    `${id}-2`,
    pluginSource(
      `http.get('/x', async () => { try { await cache.get('k'); return {}; } catch (error) { return { code: error.code }; } });`,
    ),
  );
  const denied = await testPlugin(other.dir);
  expect((await denied.request('GET', `/x/${id}-2/x`)).json()).toEqual({ code: 'PERMISSION_DENIED' });
  await denied.close();
  other.remove();

  const tested = await testPlugin(plugin.dir, { clock: true });
  const read = async () => ((await tested.request('GET', `/x/${id}/get/k`)).json() as Told).value;
  await tested.request('POST', `/x/${id}/set`, { json: { key: 'k', value: 1, options: { ttl: 60_000 } } });
  await tested.clock.advance(59_000);
  expect(await read()).toBe(1);
  await tested.clock.advance(2_000);
  expect(await read()).toBeNull();
  await tested.close();
});
