import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { afterEach, describe, expect, it } from 'vitest';
import { AUTH, route, TestServer } from '../../../test/support/http-server.js';
import type { RouteReply } from '../plugins/types.js';

let server: TestServer;
afterEach(() => server.close());

async function serve(reply: () => RouteReply, options: { trustProxy?: boolean; corsOrigins?: string[] } = {}) {
  const routes = [route({ method: 'GET', path: '/x' }, async () => reply())];
  server = await TestServer.start({ routes, server: options });
}

/** As a client that asks for no compression, which `fetch` always does. */
async function get(headers: Record<string, string> = {}, method = 'GET') {
  const outgoing = request(`${server.url}/x`, { method, headers: { ...AUTH, ...headers } }).end();
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  const bytes = await buffer(incoming);
  return { status: incoming.statusCode, headers: incoming.headers, bytes, body: bytes.toString() };
}

const whole = (type: string, body = 'x'): RouteReply => {
  return { status: 200, headers: [['content-type', type]], body: Buffer.from(body) };
};
async function* chunks(): AsyncGenerator<Buffer> {
  yield Buffer.from('x');
}

const EVERY = ['x-request-id', 'traceparent', 'x-content-type-options', 'cross-origin-resource-policy'];
const DOCUMENTS = ['cross-origin-opener-policy', 'referrer-policy', 'x-frame-options', 'origin-agent-cluster'];

describe('what every answer has', () => {
  const answers: [string, RouteReply][] = [
    ['a whole one', whole('application/json')],
    ['a large one', whole('application/json', 'x'.repeat(20_000))],
    ['one too large for one piece', whole('application/json', 'x'.repeat(40_000))],
    ['a stream', { status: 200, headers: [['content-type', 'text/event-stream']], stream: chunks() }],
    ['one without a body', { status: 204, headers: [] }],
  ];
  it.each(answers)('%s', async (_, reply) => {
    await serve(() => reply);
    const { headers } = await get();
    expect(Object.keys(headers)).toEqual(expect.arrayContaining(EVERY));
    expect(headers['content-security-policy']).toBeDefined();
  });

  it('an error', async () => {
    await serve(() => {
      throw new AtollError('UPSTREAM_BUSY');
    });
    const { status, headers } = await get();
    expect(status).toBe(503);
    expect(Object.keys(headers)).toEqual(expect.arrayContaining(EVERY));
  });
});

describe('what browsers may do', () => {
  it.each(['text/html; charset=utf-8', 'image/svg+xml', 'application/octet-stream', 'application/jsonp'])(
    'is told for a document: %s',
    async (type) => {
      await serve(() => whole(type));
      const { headers } = await get();
      expect(Object.keys(headers)).toEqual(expect.arrayContaining(DOCUMENTS));
      expect(headers['content-security-policy']).toContain("default-src 'self'");
    },
  );

  it.each(['application/json', 'Application/Problem+JSON; charset=utf-8', 'text/event-stream'])(
    'is nothing with data: %s',
    async (type) => {
      await serve(() => whole(type));
      const { headers } = await get();
      expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(DOCUMENTS));
      expect(headers['content-security-policy']).toBe("default-src 'none';frame-ancestors 'none'");
    },
  );

  it('is the plugin’s to say', async () => {
    await serve(() => ({ ...whole('text/html'), headers: [['Content-Type', 'text/html'], ['Content-Security-Policy', 'default-src https:']] })); // biome-ignore format: a list
    expect((await get()).headers['content-security-policy']).toBe('default-src https:');
  });

  it('is tied to TLS only where there is TLS', async () => {
    await serve(() => whole('text/html'), { trustProxy: true });
    const plain = await get();
    expect(plain.headers['strict-transport-security']).toBeUndefined();
    expect(plain.headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    const secure = await get({ 'x-forwarded-proto': 'https' });
    expect(secure.headers['strict-transport-security']).toMatch(/^max-age=/);
    expect(secure.headers['content-security-policy']).toContain('upgrade-insecure-requests');
  });
});

describe('an answer that is written at once', () => {
  it('has its length in bytes, its own headers, and each cookie', async () => {
    const own: [string, string][] = [['content-type', 'text/plain'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-many', '1'], ['x-many', '2'], ['etag', 'old'], ['etag', 'new']]; // biome-ignore format: a list
    await serve(() => ({ status: 201, headers: own, body: Buffer.from('ä€') }));
    const { status, headers, body } = await get();
    expect([status, body]).toEqual([201, 'ä€']);
    expect(headers).toMatchObject({
      'content-length': '5',
      'set-cookie': ['a=1', 'b=2'],
      'x-many': '1, 2',
      etag: 'new',
    });
  });

  it.each([10, 32_768, 32_769])('has the bytes that the plugin sent: %i of them', async (size) => {
    const bytes = Buffer.from(Array.from({ length: size }, (_, at) => at % 256));
    await serve(() => ({ status: 200, headers: [['content-type', 'application/octet-stream']], body: bytes }));
    expect(bytes.equals((await get()).bytes)).toBe(true);
  });

  it('is left to Koa when its type is not known', async () => {
    await serve(() => ({ status: 200, headers: [], body: Buffer.from('x') }));
    expect((await get()).headers['content-type']).toBe('application/octet-stream');
  });

  it.each(['br, identity;q=0', '*;q=0', 'gzip;q=0, br'])(
    'is sent as it is to a client that takes %s',
    async (accepted) => {
      await serve(() => whole('application/json', JSON.stringify('x'.repeat(20_000))));
      const { headers } = await get({ 'accept-encoding': accepted });
      expect(headers['content-type']).toMatch(/^application\/json/);
      expect(headers['content-encoding']).toBeUndefined();
    },
  );

  it('is compressed where it is large and that is asked for', async () => {
    await serve(() => whole('application/json', JSON.stringify('x'.repeat(20_000))));
    const { headers } = await get({ 'accept-encoding': 'gzip' });
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    expect((await get()).headers['content-encoding']).toBeUndefined();
  });

  it('has no body where none may be', async () => {
    await serve(() => whole('application/json', '{"a":1}'));
    expect(await get({}, 'HEAD')).toMatchObject({ status: 200, body: '', headers: { 'content-length': '7' } });
    await server.close();
    await serve(() => ({ ...whole('application/json', '{"a":1}'), status: 304 }));
    expect(await get()).toMatchObject({ status: 304, body: '' });
  });

  it('keeps what others have said of it', async () => {
    await serve(() => ({ ...whole('application/json'), headers: [['vary', 'accept']] }), { corsOrigins: ['https://a.example'] }); // biome-ignore format: one line
    const { headers } = await get({ origin: 'https://a.example' });
    expect(headers['access-control-allow-origin']).toBe('https://a.example');
    expect(headers.vary).toBe('Origin, accept');
  });
});
