import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type PluginOnDisk, pluginSource, writePlugin } from '../../../test/support/plugin-folder.js';
import { MasterKey } from '../auth/index.js';
import { TestKernel } from '../identity/testing.js';
import { open, seal } from './envelope.js';

const VALUE = 'the-value-of-the-first-version';
const SECOND = 'the-value-of-the-second-version';

describe('an envelope', () => {
  const master = new MasterKey('a master key for these tests, long enough');
  const at = { id: 'i', name: 'N', version: 1 };

  it('opens where it was made, and nowhere else', () => {
    const envelope = seal(master, at, VALUE);
    expect(open(master, at, envelope)).toBe(VALUE);
    expect(JSON.stringify(envelope)).not.toContain(VALUE);
    expect(seal(master, at, VALUE)).not.toEqual(envelope);
    const wrong = expect.objectContaining({ code: 'MASTER_KEY_WRONG' });
    for (const other of [
      { ...at, version: 2 },
      { ...at, name: 'M' },
      { ...at, id: 'j' },
    ])
      expect(() => open(master, other, envelope)).toThrow(wrong);
    const mixed = { ...seal(master, at, SECOND), wrappedKey: envelope.wrappedKey };
    expect(() => open(master, at, mixed)).toThrow(wrong);
    for (const part of ['sealed', 'wrappedKey'] as const) {
      const text = envelope[part];
      const altered = { ...envelope, [part]: `${text.slice(0, -1)}${text.endsWith('A') ? 'Q' : 'A'}` };
      expect(() => open(master, at, altered)).toThrow(wrong);
      expect(() => open(master, at, { ...envelope, [part]: 'short' })).toThrow(wrong);
    }
    expect(() => open(new MasterKey('another master key, also long enough'), at, envelope)).toThrow(wrong);
  });
});

describe('secrets', () => {
  let upstream: Server;
  let host: string;
  let plugin: PluginOnDisk;
  let test: TestKernel;
  const seen: string[] = [];

  beforeAll(async () => {
    upstream = createServer((request, response) => {
      seen.push(request.headers.authorization ?? '');
      response.end(`echo: ${request.headers.authorization}`);
    }).listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    host = `127.0.0.1:${(upstream.address() as AddressInfo).port}`;
    const source = pluginSource(`
      http.get('/use/:name', async ({ params }) => {
        try {
          const response = await fetch('http://${host}/', { headers: { authorization: 'Bearer ' + secrets.ref(params.name) } });
          return { text: await response.text() };
        } catch (error) { return { code: error.code ?? error.cause?.code, message: error.message + (error.cause?.message ?? '') }; }
      });
      http.get('/has/:name', async ({ params }) => ({ has: await secrets.has(params.name) }));
    `);
    plugin = writePlugin('caller', source, {
      permissions: { net: [`http://${host}`], secrets: ['STORED', 'CONFIGURED', 'OTHER'] },
    });
    test = await TestKernel.start((config) => {
      config.plugins.path = [plugin.dir];
      config.secrets = { CONFIGURED: { value: 'configured-value', hosts: [host] } };
    });
  });
  afterAll(async () => {
    await test.close();
    plugin.remove();
    upstream.close();
  });

  const use = async (name: string) => {
    seen.length = 0;
    const { body } = await test.call<{ text?: string; message?: string }>('GET', `/x/caller/use/${name}`);
    return { sent: seen[0], ...body };
  };
  const has = async (name: string) => (await test.call<{ has: boolean }>('GET', `/x/caller/has/${name}`)).body.has;
  const create = (body: object) => test.call('POST', '/api/v1/secrets', { body });

  it('are released when the manifest asks, the plugin is granted it, and the host is bound', async () => {
    const made = await create({ name: 'STORED', value: VALUE });
    expect([made.status, made.headers.get('location')]).toEqual([201, '/api/v1/secrets/STORED']);
    expect(made.body).toMatchObject({ name: 'STORED', source: 'api', hosts: [], plugins: [], version: 1 });
    expect(await has('STORED')).toBe(false);
    expect(await use('STORED')).toMatchObject({ message: expect.stringContaining('is not granted to "caller"') });
    await test.call('PUT', '/api/v1/secrets/STORED/grants/other-plugin');
    expect(await has('STORED')).toBe(false);
    await test.call('PUT', '/api/v1/secrets/STORED/grants/caller');
    expect(await has('STORED')).toBe(true);
    expect(await use('STORED')).toMatchObject({ message: expect.stringContaining('may not be sent to') });
    await test.call('PATCH', '/api/v1/secrets/STORED', { body: { hosts: [host] } });
    expect(await use('STORED')).toEqual({ sent: `Bearer ${VALUE}`, text: `echo: Bearer ${'*'.repeat(VALUE.length)}` });

    await create({ name: 'UNASKED', value: VALUE, hosts: [host], plugins: ['*'] });
    expect(await use('UNASKED')).toMatchObject({ message: expect.stringContaining('permissions.secrets') });
    await create({ name: 'OTHER', value: VALUE, hosts: [host], plugins: ['*'] });
    expect((await use('OTHER')).sent).toBe(`Bearer ${VALUE}`);
    expect((await test.call('DELETE', '/api/v1/secrets/STORED/grants/caller')).status).toBe(204);
    expect((await test.call('DELETE', '/api/v1/secrets/STORED/grants/caller')).status).toBe(404);
    expect((await use('STORED')).sent).toBeUndefined();
    expect((await test.call('PUT', '/api/v1/secrets/STORED/grants/caller')).status).toBe(200);
    // The same again is fine.
    const again = await test.call<{ plugins: string[] }>('PUT', '/api/v1/secrets/STORED/grants/caller');
    expect([again.status, again.body.plugins]).toEqual([200, ['caller', 'other-plugin']]);
  });

  it('have versions: a new one is used at once, and an older one can be used again', async () => {
    const path = '/api/v1/secrets/STORED/versions';
    const added = await test.call('POST', path, { body: { value: SECOND } });
    expect([added.status, added.body]).toMatchObject([201, { version: 2 }]);
    expect((await use('STORED')).sent).toBe(`Bearer ${SECOND}`);
    expect((await test.call('POST', `${path}/1/activate`)).body).toMatchObject({ version: 1 });
    expect((await use('STORED')).sent).toBe(`Bearer ${VALUE}`);
    expect((await test.call('POST', path, { body: { value: 'the-third-value' } })).body).toMatchObject({ version: 3 });
    const { items } = (await test.call<{ items: object[] }>('GET', path)).body;
    expect(items).toMatchObject([
      { version: 3, active: true, createdBy: 'root:root' },
      { version: 2, active: false },
      { version: 1, active: false },
    ]);
    await test.call('POST', `${path}/1/activate`);
    for (const version of ['4', '0', 'x', '99999999999'])
      expect((await test.call('POST', `${path}/${version}/activate`)).status).toBe(404);
    const made = await Promise.all([1, 2, 3].map(() => test.call('POST', path, { body: { value: SECOND } })));
    expect(made.map(({ body }) => body.version).sort()).toEqual([4, 5, 6]);
    await test.call('POST', `${path}/1/activate`);
  });

  it('of the configuration are listed, are for all who ask, and clash with those that are made', async () => {
    expect((await use('CONFIGURED')).sent).toBe('Bearer configured-value');
    const { items } = (await test.call<{ items: { name: string }[] }>('GET', '/api/v1/secrets')).body;
    expect(items.map(({ name }) => name)).toEqual(['CONFIGURED', 'OTHER', 'STORED', 'UNASKED']);
    expect(items[0]).toEqual({ name: 'CONFIGURED', source: 'configuration', hosts: [host], plugins: ['*'] });
    expect(JSON.stringify(items)).not.toMatch(/-value/);
    expect((await create({ name: 'CONFIGURED', value: VALUE })).status).toBe(409);
    expect((await create({ name: 'STORED', value: VALUE })).status).toBe(409);
    for (const [method, path, body] of [
      ['POST', '/versions', { value: SECOND }],
      ['PUT', '/grants/caller', undefined],
      ['DELETE', '', undefined],
    ] as const)
      expect((await test.call(method, `/api/v1/secrets/CONFIGURED${path}`, { body })).status).toBe(409);
    const both = await Promise.all([1, 2].map(() => create({ name: 'RACED', value: VALUE })));
    expect(both.map(({ status }) => status).sort()).toEqual([201, 409]);
  });

  it.each([
    [{ value: VALUE }],
    [{ name: 'A' }],
    [{ name: 'a b', value: VALUE }],
    [{ name: 'rotate', value: VALUE }],
    [{ name: 'A', value: 'short' }],
    [{ name: 'A', value: 'two lines\r\nX-Evil: 1' }],
    [{ name: 'A', value: 'x'.repeat(16_385) }],
    [{ name: 'A', value: VALUE, hosts: ['https://a.com'] }],
    [{ name: 'A', value: VALUE, hosts: ['a.com/path'] }],
    [{ name: 'A', value: VALUE, hosts: ['a.com', 'a.com'] }],
    [{ name: 'A', value: VALUE, plugins: ['UPPER'] }],
    [{ name: 'A', value: VALUE, more: 1 }],
    [{ name: 1, value: VALUE }],
  ])('refuse %j', async (body) => {
    const answer = await create(body);
    expect(answer.status).toBe(422);
    expect(JSON.stringify(answer.body)).not.toContain(VALUE);
  });

  it('are not there for others', async () => {
    for (const path of ['', '/versions', '/versions/1/activate', '/grants/caller']) {
      const method = path === '' ? 'GET' : path.endsWith('activate') || path === '/versions' ? 'POST' : 'DELETE';
      const body = path === '/versions' ? { value: VALUE } : undefined;
      expect((await test.call(method, `/api/v1/secrets/NOT_THERE${path}`, { body })).status).toBe(404);
    }
    expect((await test.call('PUT', '/api/v1/secrets/STORED/grants/NOT%20AN%20ID')).status).toBe(422);
    await test.call('POST', '/api/v1/organisations', { body: { id: 'guest', name: 'Guest' } });
    await test.user('boss', ['admin'], 'guest');
    await test.user('dev', ['developer']);
    for (const name of ['boss', 'dev']) {
      const as = (await test.login(name)).accessToken;
      expect((await test.call('GET', '/api/v1/secrets', { as })).status).toBe(403);
      expect((await test.call('POST', '/api/v1/secrets', { as, body: { name: 'A', value: VALUE } })).status).toBe(403);
    }
  });

  it('are gone when they are removed; one of the same name that comes later has nothing of them', async () => {
    expect((await test.call('DELETE', '/api/v1/secrets/STORED')).status).toBe(204);
    expect((await use('STORED')).message).toContain('is not set');
    const { items } = (await test.call<{ items: object[] }>('GET', '/api/v1/audit?limit=200')).body;
    const actions = items.map((entry) => (entry as { action: string }).action);
    for (const action of ['create', 'set', 'bind', 'grant', 'revoke', 'activate', 'remove'])
      expect(actions).toContain(`secrets.${action}`);
    expect(items).toContainEqual(
      expect.objectContaining({
        action: 'secrets.remove',
        target: 'secret:STORED',
        before: expect.objectContaining({ hosts: [host] }),
      }),
    );
    expect(JSON.stringify(items)).not.toMatch(/the-value|third-value/);
    await create({ name: 'STORED', value: SECOND, hosts: [host] });
    expect((await test.call('GET', '/api/v1/secrets/STORED')).body).toMatchObject({ version: 1, plugins: [] });
    await test.call('PUT', '/api/v1/secrets/STORED/grants/caller');
    await test.call('DELETE', '/api/v1/plugins/caller/data');
    expect((await test.call('GET', '/api/v1/secrets/STORED')).body).toMatchObject({ plugins: [] });
  });
});
