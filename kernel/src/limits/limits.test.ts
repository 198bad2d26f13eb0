import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { TestRedisDoor } from '../../../test/support/redis-door.js';
import { TestKernel } from '../identity/testing.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../../../test/support/plugin-folder.js';

/** A Redis on which suites may count; without it that part is left out. */
const TEST_REDIS = process.env.TEST_REDIS_URL || undefined;

const put = (test: TestKernel, id: string, rule: object) => test.call('PUT', `/api/v1/limits/${id}`, { body: rule });
const remove = (test: TestKernel, id: string) => test.call('DELETE', `/api/v1/limits/${id}`);
const plugins = (test: TestKernel, as: string, headers = {}) => test.call('GET', '/api/v1/plugins', { as, headers });
const statuses = async (count: number, call: () => Promise<{ status: number }>): Promise<number[]> => {
  const all: number[] = [];
  for (let n = 0; n < count; n++) all.push((await call()).status);
  return all;
};

describe('rate limits', () => {
  let test: TestKernel;
  let plugin: PluginOnDisk;
  beforeAll(async () => {
    const source = pluginSource("http.get('/x', () => ({})); ws.channel('x', () => ({}));");
    plugin = writePlugin('limited', source);
    test = await TestKernel.start((config) => {
      Object.assign(config.server, { trustProxy: true });
      Object.assign(config.plugins, { path: [plugin.dir] });
      config.limits.rules = [{ id: 'configured', per: 'address', class: 'auth', points: 1_000, seconds: 60 }];
    });
    for (const name of ['ada', 'bob']) await test.user(name, ['user']);
  });
  afterAll(async () => {
    await test.close();
    plugin.remove();
  });

  it('count for each user, tell how near they are in the headers, and refuse with a problem', async () => {
    const [ada, bob] = [(await test.login('ada')).accessToken, (await test.login('bob')).accessToken];
    expect((await put(test, 'users', { per: 'user', class: 'read', points: 3, seconds: 60 })).status).toBe(200);
    const first = await plugins(test, ada);
    expect(first.headers.get('ratelimit-limit')).toBe('3');
    expect(first.headers.get('ratelimit-remaining')).toBe('2');
    expect(Number(first.headers.get('ratelimit-reset'))).toBeGreaterThan(0);
    expect(first.headers.get('ratelimit-policy')).toBe('3;w=60;name="users"');
    expect(await statuses(3, () => plugins(test, ada))).toEqual([200, 200, 429]);
    const refused = await plugins(test, ada);
    expect(refused.headers.get('content-type')).toContain('application/problem+json');
    expect(refused.body).toMatchObject({ code: 'TOO_MANY_REQUESTS', status: 429, limit: 'users' });
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(refused.headers.get('ratelimit-remaining')).toBe('0');
    // Neither others, nor other classes, nor the root key.
    expect((await plugins(test, bob)).status).toBe(200);
    expect((await test.call('GET', '/x/limited/x', { as: ada })).status).toBe(200);
    expect((await test.call('GET', '/api/v1/plugins')).headers.get('ratelimit-limit')).toBeNull();
  });

  it('hold at once when they are changed, and are gone when they are removed', async () => {
    const { accessToken } = await test.login('ada');
    expect((await plugins(test, accessToken)).status).toBe(429);
    await put(test, 'users', { per: 'user', class: 'read', points: 1_000, seconds: 60 });
    expect((await plugins(test, accessToken)).status).toBe(200);
    await put(test, 'users', { per: 'user', class: 'read', points: 1, seconds: 60 });
    expect(await statuses(2, () => plugins(test, accessToken))).toEqual([200, 429]);
    expect((await remove(test, 'users')).status).toBe(204);
    const free = await plugins(test, accessToken);
    expect([free.status, free.headers.get('ratelimit-limit')]).toEqual([200, null]);
    expect((await remove(test, 'users')).status).toBe(404);
  });

  it('count for each key, address and organisation, and for somebody in particular', async () => {
    const { accessToken } = await test.login('ada');
    const make = async () =>
      (
        await test.call<{ key: string; id: string }>('POST', '/api/v1/api-keys', {
          as: accessToken,
          body: { name: 'k', scopes: ['*'] },
        })
      ).body;
    const [one, other] = [await make(), await make()];
    await put(test, 'keys', { per: 'key', class: 'read', points: 2, seconds: 60 });
    await put(test, 'one-key', { per: 'key', only: other.id, class: 'read', points: 4, seconds: 60 });
    expect(await statuses(3, () => plugins(test, one.key))).toEqual([200, 200, 429]);
    expect(await statuses(5, () => plugins(test, other.key))).toEqual([200, 200, 200, 200, 429]);
    expect((await plugins(test, accessToken)).status).toBe(200);
    await remove(test, 'keys');
    await remove(test, 'one-key');

    await put(test, 'addresses', { per: 'address', class: 'any', points: 2, seconds: 60 });
    const from = (address: string) => () => plugins(test, accessToken, { 'x-forwarded-for': `6.6.6.6, ${address}` });
    expect(await statuses(3, from('10.9.0.1'))).toEqual([200, 200, 429]);
    expect(await statuses(1, from('10.9.0.2'))).toEqual([200]);
    expect(
      await statuses(3, () =>
        test.call('GET', '/api/v1/users', { as: null, headers: { 'x-forwarded-for': '10.9.0.3' } }),
      ),
    ).toEqual([401, 401, 429]);
    await remove(test, 'addresses');

    for (const [id, tier] of [
      ['big', 'gold'],
      ['small', 'standard'],
    ]) {
      await test.call('POST', '/api/v1/organisations', { body: { id, name: id, tier } });
      for (const n of [1, 2]) await test.user(`${id}-${n}`, ['user'], id);
    }
    await put(test, 'organisations', { per: 'organisation', class: 'read', points: 2, seconds: 60 });
    await put(test, 'gold', { per: 'organisation', tier: 'gold', class: 'read', points: 5, seconds: 60 });
    const members = async (id: string) => {
      const tokens = [(await test.login(`${id}-1`)).accessToken, (await test.login(`${id}-2`)).accessToken];
      let at = 0;
      return () => plugins(test, tokens[at++ % 2]!);
    };
    expect(await statuses(3, await members('small'))).toEqual([200, 200, 429]);
    expect(await statuses(6, await members('big'))).toEqual([200, 200, 200, 200, 200, 429]);
    // A tier that changes takes its members along, at once.
    await test.call('PATCH', '/api/v1/organisations/small', { body: { tier: 'gold' } });
    expect(await statuses(1, await members('small'))).toEqual([200]);
    for (const id of ['organisations', 'gold']) await remove(test, id);
  });

  it('count calls of plugins, over HTTP and WebSocket alike', async () => {
    const { accessToken } = await test.login('bob');
    await put(test, 'plugins', { per: 'user', class: 'plugin', points: 3, seconds: 60 });
    expect(await statuses(2, () => test.call('GET', '/x/limited/x', { as: accessToken }))).toEqual([200, 200]);
    const socket = new WebSocket(`${test.url.replace('http', 'ws')}/ws`, {
      headers: { authorization: `Bearer ${accessToken}` },
    });
    await once(socket, 'open');
    const call = async (id: number) => {
      socket.send(JSON.stringify({ id, type: 'call', channel: 'limited.x' }));
      const [data] = (await once(socket, 'message')) as [Buffer];
      return JSON.parse(data.toString()) as { type: string; error?: { code: string } };
    };
    expect(await call(1)).toMatchObject({ type: 'result' });
    expect(await call(2)).toMatchObject({ type: 'error', error: { code: 'TOO_MANY_REQUESTS' } });
    socket.terminate();
    expect((await test.call('GET', '/x/limited/x', { as: accessToken })).status).toBe(429);
    await remove(test, 'plugins');
  });

  it('of the configuration are listed, and replaced by one of the same id', async () => {
    type List = { items: { id: string; source: string; points: number }[] };
    const list = async () => (await test.call<List>('GET', '/api/v1/limits')).body.items;
    expect(await list()).toMatchObject([{ id: 'configured', source: 'configuration', points: 1_000 }]);
    expect((await remove(test, 'configured')).status).toBe(404);
    await put(test, 'configured', { per: 'address', class: 'auth', points: 2_000, seconds: 60 });
    expect(await list()).toMatchObject([{ id: 'configured', source: 'api', points: 2_000 }]);
    await remove(test, 'configured');
    expect(await list()).toMatchObject([{ id: 'configured', source: 'configuration', points: 1_000 }]);
  });

  it.each([
    ['x', {}],
    ['x', { per: 'planet', class: 'any', points: 1, seconds: 1 }],
    ['x', { per: 'user', class: 'any', points: 0, seconds: 1 }],
    ['x', { per: 'user', class: 'any', points: 1, seconds: 86_401 }],
    ['x', { per: 'user', class: 'any', points: 1.5, seconds: 1 }],
    ['x', { per: 'user', class: 'any', points: 1, seconds: 1, more: 1 }],
    ['X', { per: 'user', class: 'any', points: 1, seconds: 1 }],
  ])('refuse %s with %j', async (id, rule) => {
    expect((await put(test, id, rule)).status).toBe(422);
  });
});

describe.runIf(TEST_REDIS)('rate limits in Redis', () => {
  it('are shared by nodes; while it is away each counts for itself', async () => {
    const door = await TestRedisDoor.open(TEST_REDIS!);
    const id = `shared-${Date.now()}`;
    const rules = [{ id, per: 'address' as const, class: 'read' as const, points: 6, seconds: 60 }];
    const start = () =>
      TestKernel.start((config) => {
        config.redis.url = door.url;
        config.limits.rules = rules;
      });
    const [one, other] = [await start(), await start()];
    try {
      const call = (node: TestKernel) => node.call('GET', '/api/v1/users', { as: null });
      const seen: number[] = [];
      for (let n = 0; n < 8; n++) seen.push((await call(n % 2 === 0 ? one : other)).status);
      expect(seen).toEqual([401, 401, 401, 401, 401, 401, 429, 429]);
      door.shut();
      // Another address' counter is not needed: this one starts anew on the node itself.
      const third = await start();
      try {
        expect(await statuses(8, () => call(third))).toEqual([401, 401, 401, 401, 401, 401, 429, 429]);
      } finally {
        await third.close();
      }
    } finally {
      door.release();
      await one.close();
      await other.close();
      door.close();
    }
  });
});
