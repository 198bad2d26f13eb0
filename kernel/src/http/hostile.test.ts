import { once } from 'node:events';
import { connect } from 'node:net';
import { AtollError, type ErrorExtras } from '@atoll/plugin-sdk/contract';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { AUTH, json, readAll, route, TestServer } from '../../../test/support/http-server.js';
import type { PluginRoute, RouteCall, RouteReply } from '../plugins/types.js';
import { RouteTable } from './route-table.js';

/* What a plugin answers and registers is untrusted, and so is what clients send. */

let server: TestServer;
/** What the plugin does with the next call. */
let answer: (call: RouteCall) => RouteReply | Promise<RouteReply>;
let calls: RouteCall[] = [];

const reply = (part: Partial<RouteReply>) => {
  answer = () => ({ status: 200, headers: [], body: Buffer.from('x'), ...part });
};
const fail = (extras: object, code: 'PLUGIN_ERROR' | 'TOO_MANY_REQUESTS' = 'PLUGIN_ERROR') => {
  answer = () => {
    throw new AtollError(code, 'It said so.', extras as ErrorExtras);
  };
};
const anyRoute = (path: string, registration: Partial<PluginRoute['registration']> = {}) =>
  route({ method: 'POST', path, ...registration }, (call) => {
    calls.push(call);
    return answer(call);
  });
let deepBody: unknown = '{detail}';
for (let n = 0; n < 50_000; n++) deepBody = [deepBody];

beforeAll(async () => {
  server = await TestServer.start({
    server: { corsOrigins: ['https://app.example'] },
    host: {
      mountOf: (path) => {
        if (path.startsWith('/deep')) return { plugin: 'fake', errorTemplate: { body: deepBody } };
        return path.startsWith('/x') ? { plugin: 'fake' } : undefined;
      },
    },
    routes: [
      anyRoute('/x/any'),
      anyRoute('/x/get', { method: 'GET' }),
      anyRoute('/deep/any'),
      anyRoute('/x/checked', { schemas: { body: { type: 'object', properties: { a: { default: 1 } } } } }),
      anyRoute('/x/:first/and/:second'),
    ],
  });
});
afterAll(() => server.close());
beforeEach(() => {
  calls = [];
  answer = () => json({});
});

const post = (path = '/x/any', init: RequestInit = {}) => server.call(path, { method: 'POST', ...init });
const problemOf = async (response: Response) => {
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return (await response.json()) as Record<string, unknown>;
};

describe('answers of plugins', () => {
  it.each([0, 99, 100, 101, 199, 600, 1_000, 200.5, -1, Number.NaN])(
    'with the status %s are a bad response',
    async (status) => {
      reply({ status });
      expect(await problemOf(await post())).toMatchObject({ status: 502, code: 'PLUGIN_BAD_RESPONSE' });
    },
  );

  it.each([
    ['x\r\ny: z', 'a'], ['x', 'a\r\nset-cookie: b'], ['x', 'a\nb'], ['x', 'a\0b'], ['', 'a'], ['x y', 'a'], ['x', 'a\u20ac'], [':status', '200'],
  ])('with the header %j: %j are a bad response', async (name, value) => {
    reply({ headers: [[name, value]] });
    const response = await post();
    expect(response.headers.has('set-cookie')).toBe(false);
    expect(await problemOf(response)).toMatchObject({ code: 'PLUGIN_BAD_RESPONSE' });
  }); // biome-ignore format: a table

  it('with too many or too large headers are a bad response', async () => {
    for (const headers of [
      Array.from({ length: 300 }, (_, at): [string, string] => [`x-${at}`, '1']),
      [['x', 'y'.repeat(100_000)]] as [string, string][],
    ]) {
      reply({ headers });
      expect(await problemOf(await post())).toMatchObject({ code: 'PLUGIN_BAD_RESPONSE' });
    }
  });

  it('keep repeated headers, but name one content type', async () => {
    reply({ headers: [['link', '<a>'], ['Link', '<b>'], ['content-type', 'text/a'], ['Content-Type', 'text/plain']] }); // biome-ignore format: a list
    const { headers } = await post();
    expect(headers.get('link')).toBe('<a>, <b>');
    expect(headers.get('content-type')).toBe('text/plain');
  });

  it('have no say in the connection, the trace, or what pages may read', async () => {
    const names = [
      'connection',
      'keep-alive',
      'te',
      'trailer',
      'upgrade',
      'proxy-connection',
      'transfer-encoding',
      'content-length',
    ];
    const own = ['x-request-id', 'traceparent', 'access-control-allow-origin', 'access-control-allow-credentials'];
    reply({ headers: [...names, ...own].map((name): [string, string] => [name, 'evil']) });
    const response = await post();
    expect(await response.text()).toBe('x');
    expect([...response.headers.values()]).not.toContain('evil');
  });

  it('reach pages of allowed origins only', async () => {
    const from = async (origin: string) =>
      (await post('/x/any', { headers: { origin } })).headers.get('access-control-allow-origin');
    expect(await from('https://app.example')).toBe('https://app.example');
    expect(await from('https://evil.example')).toBeNull();
    fail({});
    expect(await from('https://app.example')).toBe('https://app.example');
    const headers = { origin: 'https://app.example', 'access-control-request-method': 'POST' };
    expect((await fetch(`${server.url}/x/any`, { method: 'OPTIONS', headers })).status).toBe(204);
  });
});

describe('errors of plugins', () => {
  it('say when to come back', async () => {
    fail({ retryAfter: 1.2 }, 'TOO_MANY_REQUESTS');
    const response = await post();
    expect(response.headers.get('retry-after')).toBe('2');
    expect(await problemOf(response)).toMatchObject({ status: 429, retryAfter: 1.2 });
  });

  it.each(['1\r\nset-cookie: x', {}, -1, Number.POSITIVE_INFINITY, null])(
    'survive the retryAfter %j',
    async (retryAfter) => {
      fail({ retryAfter });
      const response = await post();
      expect([...response.headers.keys()]).not.toEqual(expect.arrayContaining(['retry-after']));
      expect(await problemOf(response)).toMatchObject({ status: 502, code: 'PLUGIN_ERROR' });
    },
  );

  it.each([200, 0, 99_999, 302, 404.5, -400])('survive the status %j', async (status) => {
    fail({ status });
    expect(await problemOf(await post())).toMatchObject({ status: 502, code: 'PLUGIN_ERROR' });
  });

  it('may have an upstream’s status', async () => {
    fail({ status: 418 });
    expect(await problemOf(await post())).toMatchObject({ status: 418 });
  });

  it('survive extras and templates that are nested too deeply', async () => {
    fail({ deep: deepBody });
    expect(await problemOf(await post())).toMatchObject({ status: 502, code: 'PLUGIN_ERROR', detail: 'It said so.' });
    fail({});
    expect(await problemOf(await post('/deep/any'))).toMatchObject({ status: 502, code: 'PLUGIN_ERROR' });
  });

  it('can’t pass as other members of the problem', async () => {
    fail({ title: 'x', code: 'OK', type: 'x', detail: 'x', instance: 'x' });
    expect(await problemOf(await post())).toMatchObject({
      title: 'The plugin failed',
      code: 'PLUGIN_ERROR',
      detail: 'It said so.',
    });
  });
});

describe('requests', () => {
  const ofJson = { 'content-type': 'application/json' };
  const refused = async (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = ofJson) =>
    problemOf(await post('/x/checked', { body: body, headers }));

  it('say where JSON is broken', async () => {
    expect((await refused('{"a": 1,\n "b": tru}')).detail).toContain('line 2 column 7');
    expect((await refused('nonsense')).detail).toContain('line 1 column 1');
    expect((await refused('{"a":')).detail).toContain('line 1 column 6');
    expect((await refused('[1,]')).detail).toContain('line 1 column 4');
    expect((await refused('{"a":1} x')).detail).toContain('line 1 column 9');
  });

  it('are UTF-8', async () => {
    expect(await refused(Uint8Array.of(0x22, 0xff, 0x22))).toMatchObject({ status: 400, code: 'INVALID_JSON' });
    expect(await refused('{}', { 'content-type': 'application/json; charset=utf-16' })).toMatchObject({ status: 415 });
    expect(
      (await post('/x/checked', { body: '{}', headers: { 'content-type': 'application/json; Charset="UTF-8"' } }))
        .status,
    ).toBe(200);
  });

  it('are not compressed', async () => {
    expect(await refused('{}', { ...ofJson, 'content-encoding': 'gzip' })).toMatchObject({
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
    });
  });

  it('that are nested too deeply for their defaults are at fault', async () => {
    expect(await refused(`{"b":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)).toMatchObject({
      status: 422,
      code: 'VALIDATION_FAILED',
    });
  });

  it('of any type go through raw where no schema asks', async () => {
    for (const type of [
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'no/such-thing',
      'nonsense',
    ]) {
      expect((await post('/x/any', { body: 'a=\u00e9', headers: { 'content-type': type } })).status).toBe(200);
      expect(calls.at(-1)?.body?.toString()).toBe('a=\u00e9');
    }
  });

  it('lose what belongs to the connection', async () => {
    await server.raw(
      `POST /x/any HTTP/1.1\r\nhost: x\r\nauthorization: ${AUTH.authorization}\r\nconnection: close, x-hop\r\nx-hop: 1\r\nkeep-alive: 1\r\n` +
        'te: trailers\r\nproxy-connection: x\r\nx-stay: 1\r\ncontent-length: 0\r\n\r\n',
    );
    const names = Object.keys(calls[0]?.headers ?? {});
    expect(names).toContain('x-stay');
    for (const name of ['connection', 'x-hop', 'keep-alive', 'te', 'proxy-connection', 'authorization'])
      expect(names).not.toContain(name);
  });

  it('carry a trace on, and tell it', async () => {
    const trace = '0af7651916cd43dd8448eb211c80319c';
    const response = await post('/x/any', { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
    expect(calls[0]?.traceparent).toContain(trace);
    expect(response.headers.get('traceparent')).toBe(calls[0]?.traceparent);
  });

  it('to what is not there need credentials under /api and /v1', async () => {
    for (const path of ['/api/v1/nothing', '/v1/nothing', '/api', '/x/nothing'])
      expect((await fetch(`${server.url}${path}`)).status, path).toBe(401);
    expect((await fetch(`${server.url}/elsewhere`)).status).toBe(404);
    expect((await server.call('/api/v1/nothing')).status).toBe(404);
  });

  it.each([
    '//',
    '/%',
    '/x/%00',
    '/x/any/',
    '/\\',
    '/x/any?%',
    `/${'a/'.repeat(4_000)}`,
    '/__proto__/constructor',
    'http://[',
    '*',
  ])('for %j are answered', async (path) => {
    const text = await server.raw(
      `GET ${path} HTTP/1.1\r\nhost: x\r\nauthorization: ${AUTH.authorization}\r\nconnection: close\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  it('keep their connection after a refusal', async () => {
    const socket = connect(server.port, '127.0.0.1');
    const body = 'x'.repeat(1_500_000);
    const head = `POST /x/any HTTP/1.1\r\nhost: x\r\nauthorization: ${AUTH.authorization}\r\n`;
    socket.write(
      `${head}content-length: ${body.length}\r\n\r\n${body}${head}connection: close\r\ncontent-length: 1\r\n\r\ny`,
    );
    const text = await readAll(socket);
    expect([...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status)).toEqual(['413', '200']);
  });

  it('that ask for another protocol are answered in this one', async () => {
    const text = await server.raw(
      'GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: upgrade, close\r\nupgrade: h2c\r\n\r\n',
    );
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('whose client went away while the plugin started end, too', async () => {
    let release = () => {};
    const late = await TestServer.start({
      host: {
        mountOf: (path) => (path.startsWith('/late/') ? { plugin: 'late' } : undefined),
        settled: () => new Promise((resolve) => (release = resolve)),
      },
    });
    let aborted: boolean | undefined;
    const added = route({ method: 'POST', path: '/late/x' }, ({ signal }) => {
      aborted = signal.aborted;
      return json({});
    });
    const socket = connect(late.port, '127.0.0.1');
    socket.write(
      `POST /late/x HTTP/1.1\r\nhost: x\r\nauthorization: ${AUTH.authorization}\r\ncontent-length: 5\r\n\r\nab`,
    );
    await expect.poll(() => release.toString()).not.toBe('() => {}');
    socket.destroy();
    await once(socket, 'close');
    await expect.poll(() => openConnections(late)).toBe(0);
    late.table.replace('late', [added]);
    release();
    await expect.poll(() => metricsOf(late)).toContain('atoll_http_requests_in_flight 1');
    expect(aborted).not.toBe(false);
    await late.close();
  });
});

/** The request that asks is in flight itself. */
const metricsOf = async ({ url }: TestServer) => (await fetch(`${url}/metrics`)).text();
const openConnections = ({ server }: TestServer) =>
  new Promise((resolve) => server.getConnections((_, open) => resolve(open)));

describe('registrations', () => {
  const add =
    (path: string, registration: object = {}) =>
    () =>
      new RouteTable().replace('p', [anyRoute(path, registration as PluginRoute['registration'])]);
  const invalid = expect.objectContaining({ code: 'MANIFEST_INVALID' });

  it.each([
    '/a/:',
    '/a/:b/:b',
    '/a/:__proto__',
    '/a/:b-c',
    '/a/*b/c',
    'a',
    '/a/:b*',
    '/a/*b-c',
    '/a?b',
    '/a#b',
    '/a b',
    `/${'a'.repeat(3_000)}`,
  ])('with the path %j are refused', (path) => {
    expect(add(path)).toThrow(invalid);
  });

  it('with a bad schema are refused and change nothing', () => {
    const table = new RouteTable();
    table.replace('p', [anyRoute('/a')]);
    const { generation } = table;
    for (const part of ['body', 'query', 'params', 'headers', 'response']) {
      for (const schema of [{ pattern: '(?=a)' }, { properties: null }, { $ref: 'x' }, null, 'x']) {
        const bad = anyRoute('/b', { schemas: { [part]: schema } } as object);
        expect(() => table.replace('p', [bad]), `${part} ${JSON.stringify(schema)}`).toThrow(invalid);
      }
    }
    expect(table.generation).toBe(generation);
    expect(table.match('POST', '/a')).toHaveProperty('route');
  });

  it('of what another plugin has are refused and change nothing', () => {
    const table = new RouteTable();
    table.replace('one', [{ ...anyRoute('/a/:x'), plugin: 'one' }]);
    const two = [
      { ...anyRoute('/b'), plugin: 'two' },
      { ...anyRoute('/a/:y'), plugin: 'two' },
    ];
    expect(() => table.replace('two', two)).toThrow(expect.objectContaining({ code: 'PLUGIN_CLASH' }));
    expect(table.match('POST', '/b')).toBeUndefined();
    table.remove('one');
    table.replace('two', two);
    expect(table.match('POST', '/a/1')).toMatchObject({ params: { y: '1' } });
    table.remove('two');
    expect(table.routes()).toEqual([]);
  });

  it('that are exchanged flip as a whole', () => {
    const table = new RouteTable();
    table.replace('p', [anyRoute('/a'), anyRoute('/b')]);
    table.replace('p', [anyRoute('/b'), anyRoute('/c')]);
    expect(['/a', '/b', '/c'].map((path) => table.match('POST', path) !== undefined)).toEqual([false, true, true]);
  });
});
