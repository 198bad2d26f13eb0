import { request as httpRequest } from 'node:http';
import { Type } from 'typebox';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AUTH, json, route, TestServer } from '../../../test/support/http-server.js';
import type { RouteCall } from '../plugins/types.js';

let server: TestServer;
let calls: RouteCall[] = [];

const seen = (call: RouteCall) => {
  calls.push(call);
  return json({ params: call.params, query: call.query, body: call.body?.toString() ?? null });
};
const Query = Type.Object({
  n: Type.Optional(Type.Integer()), on: Type.Optional(Type.Boolean()), tags: Type.Optional(Type.Array(Type.String())),
  size: Type.Integer({ default: 7 }),
}); // biome-ignore format: a schema
const Body = Type.Object({ name: Type.String(), times: Type.Integer({ default: 3 }) });
const schemas = (part: object) => ({ schemas: part as Record<string, Record<string, unknown>> });

beforeAll(async () => {
  const template = {
    body: { error: { message: '{detail}', type: '{type}', status: '{status}' } },
    types: { '4xx': 'theirs', '422': 'input' },
  };
  server = await TestServer.start({
    host: { mountOf: (path) => (path.startsWith('/own/') ? { plugin: 'own', errorTemplate: template } : undefined) },
    routes: [
      route({ method: 'GET', path: '/x/items/:id' }, seen),
      route({ method: 'DELETE', path: '/x/items/:id' }, seen),
      route({ method: 'GET', path: '/x/items/special' }, () => json({ special: true })),
      route({ method: 'GET', path: '/x/files/*path' }, seen),
      route({ method: 'GET', path: '/x/query', ...schemas({ query: Query }) }, seen),
      route({ method: 'GET', path: '/x/number/:n', ...schemas({ params: Type.Object({ n: Type.Integer() }) }) }, seen),
      route({ method: 'POST', path: '/x/body', ...schemas({ body: Body }) }, seen),
      route({ method: 'POST', path: '/x/strict', ...schemas({ body: Type.Object({ name: Type.String() }) }) }, seen),
      route({ method: 'POST', path: '/x/raw' }, seen),
      route({ method: 'POST', path: '/x/tiny', maxBodyBytes: 10 }, seen),
      route({ method: 'POST', path: '/own/body', ...schemas({ body: Body }) }, seen),
    ],
  });
});
afterAll(() => server.close());

async function problem(response: Response | Promise<Response>): Promise<Record<string, unknown>> {
  const answer = await response;
  expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const body = (await answer.json()) as Record<string, unknown>;
  expect(body).toMatchObject({ status: answer.status, instance: answer.headers.get('x-request-id') });
  expect(body.type).toBe(`urn:atoll:problem:${String(body.code).toLowerCase().replaceAll('_', '-')}`);
  return body;
}

describe('request ids', () => {
  it('keeps a well-formed one, also in the problem and for the plugin', async () => {
    const headers = { 'x-request-id': 'given-by-the-client' };
    expect(await problem(server.call('/nothing', { headers }))).toMatchObject({ instance: 'given-by-the-client' });
    await server.call('/x/items/1', { headers });
    expect(calls.at(-1)?.requestId).toBe('given-by-the-client');
  });

  it.each(['short', 'with space in it', 'x'.repeat(129), '<script>alert(1)'])('replaces %s', async (given) => {
    const response = await server.call('/health/live', { headers: { 'x-request-id': given } });
    expect(response.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });
});

it('while plugins are still to come, 503 for what may be theirs, and no hint of it without credentials', async () => {
  const early = await TestServer.start({ starting: true });
  const response = await early.call('/v1/models');
  expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1']);
  expect(await response.json()).toMatchObject({ code: 'STARTING' });
  expect((await fetch(`${early.url}/v1/models`)).status).toBe(401);
  expect((await early.call('/health/live')).status).toBe(200);
  await early.close();
});

describe('what is refused', () => {
  it('401 without credentials, with a challenge, before anything is told about the path', async () => {
    for (const init of [
      {},
      { headers: { authorization: 'Bearer wrong' } },
      { headers: { authorization: AUTH.authorization.replace('Bearer', 'Basic') } },
    ]) {
      const response = await fetch(`${server.url}/x/items/1`, init);
      expect(response.headers.get('www-authenticate')).toContain('Bearer');
      expect(await problem(response)).toMatchObject({ status: 401, code: 'UNAUTHENTICATED' });
    }
    expect((await fetch(`${server.url}/x/items/1`, { method: 'PUT' })).status).toBe(401);
  });

  it('404 for an unknown path', async () => {
    expect(await problem(server.call('/x/nothing'))).toMatchObject({ status: 404, code: 'NOT_FOUND' });
  });

  it('405 with the methods that there are', async () => {
    const response = await server.call('/x/items/1', { method: 'PUT' });
    expect(response.headers.get('allow')?.split(', ').sort()).toEqual(['DELETE', 'GET', 'HEAD']);
    expect(await problem(response)).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED' });
  });

  it('405 also for a route of the kernel', async () => {
    const response = await server.call('/health/live', { method: 'POST' });
    expect(response.headers.get('allow')?.split(', ').sort()).toEqual(['GET', 'HEAD']);
    expect(await problem(response)).toMatchObject({ status: 405, code: 'METHOD_NOT_ALLOWED' });
  });

  it('400 for broken JSON, 415 for another type, 422 with pointers, 422 for no body', async () => {
    const headers = { 'content-type': 'application/json' };
    const post = (body: string, type = headers) =>
      problem(server.call('/x/body', { method: 'POST', body, headers: type }));
    expect(await post('{"name":')).toMatchObject({ status: 400, code: 'INVALID_JSON' });
    expect(await post('name=x', { 'content-type': 'application/x-www-form-urlencoded' })).toMatchObject({
      status: 415,
    });
    const errors = [{ pointer: '/times', message: expect.any(String) }];
    expect(await post('{"name":"x","times":"many"}')).toMatchObject({ status: 422, code: 'VALIDATION_FAILED', errors });
    expect(await problem(server.call('/x/body', { method: 'POST' }))).toMatchObject({
      status: 422,
      errors: [{ pointer: '' }],
    });
  });

  it('400 for broken percent-encoding', async () => {
    expect(await problem(server.call('/x/items/%E0%A4'))).toMatchObject({ status: 400, code: 'BAD_REQUEST' });
  });
});

describe('large bodies', () => {
  it('413 for 10 MB to a route that takes 1 MB, announced or not', async () => {
    const body = Buffer.alloc(10_000_000);
    expect(await problem(server.call('/x/raw', { method: 'POST', body }))).toMatchObject({
      status: 413,
      code: 'BODY_TOO_LARGE',
    });
    const stream = new ReadableStream({
      start(controller) {
        for (let at = 0; at < body.length; at += 100_000) controller.enqueue(body.subarray(at, at + 100_000));
        controller.close();
      },
    });
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit;
    expect(await problem(server.call('/x/raw', init))).toMatchObject({ status: 413, code: 'BODY_TOO_LARGE' });
  });

  it('keeps to the limit of the route, to the byte', async () => {
    expect((await server.call('/x/tiny', { method: 'POST', body: 'x'.repeat(10) })).status).toBe(200);
    expect((await server.call('/x/tiny', { method: 'POST', body: 'x'.repeat(11) })).status).toBe(413);
  });
});

it('gives errors the form that the plugin of the mount wants', async () => {
  const response = await server.post('/own/body', { name: 1 });
  expect(response.status).toBe(422);
  expect(response.headers.get('content-type')).toMatch(/^application\/json/);
  expect(await response.json()).toEqual({
    error: { message: expect.stringContaining('/name'), type: 'input', status: 422 },
  });
  const denied = await fetch(`${server.url}/own/body`, { method: 'POST', body: '{}' });
  expect(await denied.json()).toMatchObject({ error: { type: 'theirs', status: 401 } });
});

describe('paths', () => {
  it('decodes parameters after matching, so that %2F is no slash', async () => {
    expect(await (await server.call('/x/items/a%2Fb%20%C3%A4')).json()).toMatchObject({ params: { id: 'a/b ä' } });
  });

  it('prefers literals to parameters, and hands over the rest', async () => {
    expect(await (await server.call('/x/items/special')).json()).toEqual({ special: true });
    expect(await (await server.call('/x/files/a/b%20c/d')).json()).toMatchObject({ params: { path: 'a/b c/d' } });
  });

  it('turns them into what the schema says', async () => {
    expect(await (await server.call('/x/number/42')).json()).toMatchObject({ params: { n: 42 } });
    expect(await problem(server.call('/x/number/many'))).toMatchObject({ status: 422, errors: [{ pointer: '/n' }] });
  });
});

it('coerces the query by its schema and fills in defaults', async () => {
  const response = await server.call('/x/query?n=5&on=true&tags=a');
  expect(await response.json()).toMatchObject({ query: { n: 5, on: true, tags: ['a'], size: 7 } });
  expect(await problem(server.call('/x/query?n=five'))).toMatchObject({ status: 422, errors: [{ pointer: '/n' }] });
});

it('fills defaults into the body, and otherwise hands on the very bytes', async () => {
  const filled = (await (await server.post('/x/body', { name: 'x' })).json()) as { body: string };
  expect(JSON.parse(filled.body)).toEqual({ name: 'x', times: 3 });
  const bytes = '{ "name" :\n"x" }';
  const headers = { 'content-type': 'application/json; charset=utf-8' };
  const kept = await server.call('/x/strict', { method: 'POST', body: bytes, headers });
  expect(await kept.json()).toMatchObject({ body: bytes });
});

it('answers HEAD as GET without a body', async () => {
  const get = await server.call('/x/items/1');
  const head = await server.call('/x/items/1', { method: 'HEAD' });
  expect(head.status).toBe(200);
  expect(head.headers.get('content-length')).toBe(
    get.headers.get('content-length') ?? String((await get.text()).length),
  );
  expect(await head.text()).toBe('');
});

it('keeps credentials from plugins', async () => {
  calls = [];
  await server.call('/x/items/1', { headers: { cookie: 'a=b', 'x-api-key': 'k', 'x-mine': 'kept' } });
  expect(calls[0]?.headers).toMatchObject({ 'x-mine': 'kept' });
  for (const name of ['authorization', 'cookie', 'x-api-key']) expect(calls[0]?.headers).not.toHaveProperty(name);
});

it('takes a body that comes in chunks without a length', async () => {
  const text = await new Promise<string>((resolve, reject) => {
    const options = { method: 'POST', headers: { ...AUTH, 'content-type': 'application/json' } };
    const outgoing = httpRequest(`${server.url}/x/strict`, options, (incoming) => {
      let body = '';
      incoming.on('data', (chunk) => {
        body += chunk;
      });
      incoming.on('end', () => resolve(body));
    });
    outgoing.on('error', reject);
    outgoing.write('{"name":');
    outgoing.end('"x"}');
  });
  expect(JSON.parse(text)).toMatchObject({ body: '{"name":"x"}' });
});

describe('pages of other origins', () => {
  const preflight = (origin: string, path = '/x/strict') =>
    other.call(path, {
      method: 'OPTIONS',
      headers: {
        authorization: '',
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
  let other: TestServer;

  beforeAll(async () => {
    other = await TestServer.start({
      server: { corsOrigins: ['https://app.example'] },
      routes: [route({ method: 'POST', path: '/x/strict', ...schemas({ body: Body }) }, seen)],
    });
  });
  afterAll(() => other.close());

  it('that are allowed may ask first without credentials, and read answers and problems', async () => {
    const asked = await preflight('https://app.example');
    expect(asked.status).toBe(204);
    expect(asked.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(asked.headers.get('access-control-allow-headers')).toBe('authorization,content-type');
    expect(asked.headers.get('access-control-max-age')).toBe('600');
    const headers = { origin: 'https://app.example', 'content-type': 'application/json' };
    const refused = await other.call('/x/strict', { method: 'POST', headers, body: '{}' });
    expect(refused.status).toBe(422);
    expect(refused.headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(refused.headers.get('vary')).toMatch(/origin/i);
  });

  it('that are not allowed learn nothing', async () => {
    const asked = await preflight('https://evil.example');
    expect(asked.headers.get('access-control-allow-origin')).toBeFalsy();
    const headers = { origin: 'https://evil.example', 'content-type': 'application/json' };
    const answer = await other.call('/x/strict', { method: 'POST', headers, body: '{"name":"x"}' });
    expect(answer.headers.get('access-control-allow-origin')).toBeFalsy();
  });

  it('get nothing where no origin is allowed', async () => {
    const asked = await server.call('/x/strict', {
      method: 'OPTIONS',
      headers: { origin: 'https://app.example', 'access-control-request-method': 'POST' },
    });
    expect(asked.headers.get('access-control-allow-origin')).toBeNull();
  });
});
