import { AtollError } from '@atoll/plugin-sdk/contract';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { TestServer } from '../../../test/support/http-server.js';
import type { PluginHost, PluginInfo } from '../plugins/types.js';
import { type Nodes, pluginApi } from './plugins.js';

type Json = Record<string, unknown>;
const IDS = ['b', 'a', 'a-b', 'ab', 'c'];
const info = (id: string): PluginInfo => ({ id, version: '1.0.0', title: id, state: 'active' }) as PluginInfo;

let server: TestServer;
let asked: unknown[][] = [];

/** Writes down what it is asked for. */
const known = (id: string) => {
  if (!IDS.includes(id)) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
};
const act = (name: string) => async (id: string, options?: unknown) => {
  known(id);
  asked.push([name, id, ...(options === undefined ? [] : [options])]);
  return info(id);
};
const host: Partial<PluginHost> = {
  list: () => IDS.map(info),
  get: (id) => (IDS.includes(id) ? info(id) : undefined),
  enable: act('enable'),
  disable: async (id, options) => {
    if (id === 'c' && !options?.cascade) throw new AtollError('PLUGIN_NEEDED', '"b" needs "c".', { dependants: ['b'] });
    return act('disable')(id, options);
  },
  reload: act('reload'),
  setConfig: act('setConfig'),
  config: (id) => {
    known(id);
    return { schema: {}, values: { secret: '********' } };
  },
  logs: (id, options) => {
    known(id);
    asked.push(['logs', id, options]);
    return [];
  },
};

/** One node is behind with the plugin `ab`. */
const nodes: Nodes = {
  behind: async (id) =>
    id === 'ab' ? [{ id: 'two', generation: 3, problems: [{ plugin: 'ab', reason: 'It is too new.' }] } as never] : [],
};

beforeAll(async () => {
  server = await TestServer.start({ host, kernelRoutes: pluginApi(host as PluginHost, nodes) });
});
afterAll(() => server.close());
beforeEach(() => {
  asked = [];
});

const get = async (path: string): Promise<Json> => (await (await server.call(`/api/v1/plugins${path}`)).json()) as Json;
const send = async (path: string, body?: unknown, method = 'POST'): Promise<Json> =>
  (await (await server.post(`/api/v1/plugins${path}`, body, { method })).json()) as Json;

describe('GET /api/v1/plugins', () => {
  it('lists all, page by page, each once', async () => {
    expect(await get('')).toMatchObject({ items: ['a', 'a-b', 'ab', 'b', 'c'].map((id) => ({ id })) });
    const seen: string[] = [];
    let cursor: string | undefined = '';
    while (cursor !== undefined) {
      const page = (await get(`?limit=2${cursor && `&cursor=${cursor}`}`)) as {
        items: PluginInfo[];
        nextCursor?: string;
      };
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(['a', 'a-b', 'ab', 'b', 'c']);
  });

  it.each(['?limit=0', '?limit=201', '?limit=x', '?limit=1&limit=2', `?cursor=${'x'.repeat(300)}`])(
    '422 for %s',
    async (query) => {
      expect(await get(query)).toMatchObject({
        status: 422,
        code: 'VALIDATION_FAILED',
        errors: [{ pointer: expect.any(String) }],
      });
    },
  );
});

it('answers with one plugin, or 404', async () => {
  expect(await get('/a-b')).toEqual(info('a-b'));
  expect(await get('/ab')).toEqual({ ...info('ab'), notConverged: [{ node: 'two', reason: 'It is too new.' }] });
  for (const id of ['nope', '__proto__', '..%2fa'])
    expect(await get(`/${id}`)).toMatchObject({ status: 404, code: 'PLUGIN_NOT_FOUND' });
  for (const path of ['/config', '/logs'])
    expect(await get(`/nope${path}`)).toMatchObject({ code: 'PLUGIN_NOT_FOUND' });
  for (const path of ['/enable', '/disable', '/reload'])
    expect(await send(`/nope${path}`, {})).toMatchObject({ code: 'PLUGIN_NOT_FOUND' });
});

it('enables, disables and reloads, with or without a body', async () => {
  await send('/a/enable');
  await send('/a/reload', {});
  expect(await send('/a/disable')).toMatchObject({ id: 'a' });
  await send('/c/disable', { cascade: true });
  expect(asked).toEqual([
    ['enable', 'a'],
    ['reload', 'a', { discardState: false }],
    ['disable', 'a', { cascade: false }],
    ['disable', 'c', { cascade: true }],
  ]);
  expect(await send('/c/disable')).toMatchObject({ status: 409, code: 'PLUGIN_NEEDED', dependants: ['b'] });
  expect(await send('/c/disable', { cascade: 'yes' })).toMatchObject({
    status: 422,
    errors: [{ pointer: '/cascade' }],
  });
  expect(await send('/c/disable', [])).toMatchObject({ status: 422 });
});

it('reads logs within limits', async () => {
  expect(await get('/a/logs')).toEqual({ items: [] });
  await get('/a/logs?limit=5&level=warn');
  expect(asked).toEqual([
    ['logs', 'a', { limit: 100, level: 'debug' }],
    ['logs', 'a', { limit: 5, level: 'warn' }],
  ]);
  expect(await get('/a/logs?level=loud')).toMatchObject({
    status: 422,
    errors: [{ pointer: '/level', message: 'must be one of "debug", "info", "warn", "error"' }],
  });
});

it('shows and sets configuration', async () => {
  expect(await get('/a/config')).toEqual({ schema: {}, values: { secret: '********' } });
  await send('/a/config', { depth: { n: 1 } }, 'PUT');
  expect(asked).toEqual([['setConfig', 'a', { depth: { n: 1 } }]]);
  expect(await send('/a/config', 'text', 'PUT')).toMatchObject({ status: 422 });
});

it('is for those with credentials only, whatever the path', async () => {
  for (const { method, path } of pluginApi(host as PluginHost, nodes)) {
    const response = await fetch(`${server.url}${path.replace(':id', 'a')}`, { method });
    expect(response.status, `${method} ${path}`).toBe(401);
  }
  expect(asked).toEqual([]);
});

it('is in the OpenAPI document', async () => {
  const { paths } = (await (await fetch(`${server.url}/openapi.json`)).json()) as { paths: Record<string, Json> };
  for (const { method, path } of pluginApi(host as PluginHost, nodes)) {
    expect(paths[path.replace(':id', '{id}')]).toHaveProperty(method.toLowerCase());
  }
});
