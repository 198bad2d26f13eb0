import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { atoll, atollJson } from '../support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { newKey, packSample, type SamplePlugin } from '../support/packages.js';

interface Difference {
  pointer: string;
  before?: unknown;
  after?: unknown;
}
interface Report {
  to: string;
  summary: { calls: number; same: number; different: number; failed: number; unsteady: number; skipped: number };
  calls: {
    call: string;
    outcome: string;
    output: Difference[];
    hostCalls: {
      added: { method: string; input: unknown }[];
      missing: { method: string }[];
      changed: { method: string; differences: Difference[] }[];
    };
  }[];
}

const root = mkdtempSync(path.join(tmpdir(), 'atoll-rehearsal-'));
const key = newKey();
let kernel: TestKernel;
let upstream: Server;
let origin: string;
const fetched: string[] = [];

const SECRETS = ['hunter2-of-config', 'p4ssw0rd-of-alice', 'alice@example.org', '+49 170 1234567', 'tok-in-header-77'];

const GOOD = () => `
  let seen = 0;
  const notes = storage.collection('notes', {});
  http.get('/greet/:name', ({ params, query }) => ({ hello: params.name, loud: query.loud ?? null }));
  http.get('/random', () => ({ id: crypto.randomUUID(), n: Math.random(), at: Date.now() }));
  http.get('/count', () => ({ seen: ++seen }));
  http.post('/notes', { body: Type.Object({ text: Type.String() }) }, async ({ body }) => {
    const { id } = await notes.insert({ text: body.text, key: crypto.randomUUID() });
    return { id };
  });
  http.get('/notes', async () => ({ items: (await notes.find({})).items.map(({ text }) => text) }));
  http.get('/upstream', async () => {
    const response = await fetch('${origin}/data?x=1', { headers: { authorization: 'Bearer ' + config.token } });
    return { upstream: await response.json() };
  });
  http.get('/ticks', async function* () { for (let n = 0; n < 3; n++) yield { n }; });
  http.get('/wait', async () => { await new Promise((resolve) => setTimeout(resolve, 300)); return { waited: true }; });
  http.post('/login', async ({ body, headers }) => {
    await notes.insert({ text: 'login of ' + body.email + ' ' + (headers['x-session-token'] ?? '') });
    return new Response(JSON.stringify({ welcome: body.email, phone: body.phone, pin: body.code, mine: config.token }), {
      headers: { 'content-type': 'application/json', 'set-cookie': body.password },
    });
  });
  ws.channel('echo', (data) => ({ echoed: data }));
  services.provide({ name: 'greetings', version: '1.0.0', methods: { greet: { output: Type.String() } } }, { greet: () => 'hello' });
`;

/** Asks the host in its setup already, and another plugin at each call. */
const STARTER = `
  const greetings = services.use('greetings');
  const first = await greetings.greet();
  http.get('/', async () => ({ first, greeting: await greetings.greet() }));
  ws.channel('echo', (data) => ({ echoed: data }));
`;

async function publish(version: string, code: string, id = 'greeter'): Promise<void> {
  const sample: SamplePlugin = {
    id,
    version,
    atoll:
      id === 'starter'
        ? { mounts: ['/x/starter'], consumes: { greetings: '^1.0.0' } }
        : {
            mounts: ['/x/greeter'],
            provides: { greetings: '1.0.0' },
            permissions: { storage: true, net: [origin] },
            config: {
              type: 'object',
              properties: { token: { type: 'string', secret: true, default: 'hunter2-of-config' } },
            },
            limits: { memoryMb: 32, timeoutMs: 5_000 },
          },
    files: {
      'src/index.ts': `import { definePlugin, Type } from '@atoll/plugin-sdk';
export default definePlugin(async ({ http, ws, storage, services, config }) => {${code}});`,
    },
  };
  const { bytes } = await packSample(root, sample, key);
  const response = await kernel.call('/api/v1/marketplace/publish', { method: 'POST', body: new Uint8Array(bytes) });
  expect(response.status).toBe(201);
}

const send = async <T = Record<string, never>>(method: string, target: string, body: object = {}) => {
  const response = await kernel.call(`/api/v1/${target}`, {
    method,
    ...(method !== 'GET' && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
};
const get = async (target: string) => (await kernel.call(`/x/greeter${target}`)).text();
const post = async (target: string, body: object, headers: Record<string, string> = {}) => {
  const response = await kernel.call(`/x/greeter${target}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  expect(response.status, await response.clone().text()).toBe(200);
};
const anew = (settings: object = {}) => send('PUT', 'plugins/greeter/recording', { on: true, ...settings });
const rehearse = async (version: string) => {
  const { status, body } = await send<Report>('POST', 'plugins/greeter/rehearse', { version });
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
};
const recording = async () =>
  (await send<{ items: object[] }>('GET', 'plugins/greeter/recording/calls?limit=100')).body;

beforeAll(async () => {
  upstream = createServer((request, response) => {
    fetched.push(request.url ?? '');
    response.setHeader('content-type', 'application/json').end('{"answer":42}');
  });
  await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  kernel = await startTestKernel({
    env: {
      ATOLL_DATA_DIR: path.join(root, 'data'),
      ATOLL_PLUGINS__REHEARSAL: '{"record":["starter"]}',
      ATOLL_PLUGINS__REHEARSE_BEFORE_SWAP: '["starter"]',
    },
  });
  await publish('1.0.0', GOOD());
  expect((await send('POST', 'marketplace/greeter/install', { consent: true })).status).toBe(200);
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  upstream?.close();
  rmSync(root, { recursive: true, force: true });
});

describe('a rehearsal', () => {
  it('needs a recording, which is off until it is asked for', async () => {
    await get('/greet/ann');
    expect((await send('GET', 'plugins/greeter/recording')).body).toMatchObject({ on: false, calls: 0 });
    const refused = await send('POST', 'plugins/greeter/rehearse', { version: '1.0.0' });
    expect(refused).toMatchObject({ status: 409, body: { code: 'REHEARSAL_NOT_RECORDED' } });
  });

  it('finds no difference in the same version: time, chance, memory and the host are as they were', async () => {
    expect((await anew()).body).toMatchObject({ on: true, sample: 1, keep: 200 });
    await get('/count');
    for (const target of ['/greet/ann?loud=1', '/random', '/count', '/notes', '/upstream', '/ticks', '/wait'])
      await get(target);
    await post('/notes', { text: 'first' });
    await get('/notes');
    expect((await send('GET', 'plugins/greeter/recording')).body).toMatchObject({ calls: 10 });
    const before = [...fetched];
    const { summary, calls } = await rehearse('1.0.0');
    expect(calls).toEqual([]);
    expect(summary).toMatchObject({ calls: 10, same: 10, different: 0, failed: 0, skipped: 0 });
    expect(fetched).toEqual(before);
  });

  it('counts what the running version does not do again either', async () => {
    await anew();
    await get('/greet/ann');
    await get('/ticks');
    expect((await rehearse('1.0.0')).summary).toMatchObject({ calls: 2, same: 2, unsteady: 0 });
    await get('/count');
    expect((await rehearse('1.0.0')).summary).toMatchObject({ calls: 3, same: 3, unsteady: 1 });
  });

  it('shows what a candidate does otherwise, and does none of it', async () => {
    await anew();
    await get('/greet/ann');
    await get('/upstream');
    await post('/notes', { text: 'second' });
    await get('/ticks');
    const before = { fetched: [...fetched], notes: await get('/notes') };
    await publish(
      '1.1.0',
      GOOD()
        .replace('hello: params.name', 'hello: params.name.toUpperCase()')
        .replace('/data?x=1', '/data?x=2')
        .replace('return { id };', "await notes.insert({ text: 'one more' }); return { id };")
        .replace('yield { n }', 'yield { n: n + 1 }'),
    );
    const { summary, calls } = await rehearse('1.1.0');
    expect(summary).toMatchObject({ calls: 5, same: 1, different: 2, failed: 2 });
    const of = (name: string) => calls.find(({ call }) => call === name);
    expect(of('GET /x/greeter/greet/:name')).toMatchObject({
      outcome: 'different',
      output: [{ pointer: '/body/hello', before: 'ann', after: 'ANN' }],
    });
    expect(of('GET /x/greeter/upstream')?.hostCalls.changed).toMatchObject([
      {
        method: 'net.fetch',
        differences: [{ pointer: '/head/url', before: `${origin}/data?x=1`, after: `${origin}/data?x=2` }],
      },
    ]);
    expect(of('POST /x/greeter/notes')?.hostCalls.added).toMatchObject([{ method: 'storage.insert' }]);
    expect(of('GET /x/greeter/ticks')?.output[0]?.pointer).toMatch(/^\/chunks/);
    expect({ fetched, notes: await get('/notes') }).toEqual(before);
  });

  it('tells when a candidate does not start, lacks a route or writes outside of calls', async () => {
    await anew();
    await get('/greet/ann');
    await publish('1.2.0', `throw new Error('no');`);
    expect((await rehearse('1.2.0')).summary).toMatchObject({ failed: 1 });
    await publish('1.3.0', GOOD().replace('/greet/:name', '/salute/:name'));
    expect((await rehearse('1.3.0')).calls[0]?.output).toContainEqual(
      expect.objectContaining({ pointer: '/error', after: expect.objectContaining({ code: 'NOT_FOUND' }) }),
    );
    await publish(
      '1.4.0',
      `${GOOD()} setTimeout(() => void notes.insert({ text: 'behind your back' }).catch(() => {}), 1);`,
    );
    const { calls } = await rehearse('1.4.0');
    expect(calls).toMatchObject([{ call: 'outside of calls', hostCalls: { added: [{ method: 'storage.insert' }] } }]);
    expect(await get('/notes')).not.toContain('behind your back');
  });

  it('keeps no secret and nothing personal', async () => {
    await anew();
    await post(
      '/login',
      { email: 'alice@example.org', password: 'p4ssw0rd-of-alice', phone: '+49 170 1234567', code: 1 },
      { 'x-session-token': 'tok-in-header-77', cookie: 'a=b' },
    );
    await get('/upstream');
    await get('/greet/alice@example.org');
    const { items } = await recording();
    expect(items).toHaveLength(3);
    const text = JSON.stringify(items);
    for (const secret of [...SECRETS, encodeURIComponent('alice@example.org')]) expect(text).not.toContain(secret);
    expect(new Set(text.match(/masked-[0-9a-f]+@masked\.invalid/g)).size).toBe(1);
    const { summary, calls } = await rehearse('1.0.0');
    expect(summary).toMatchObject({ same: 3, unsteady: 0 });
    await publish(
      '1.5.0',
      GOOD().replace('welcome: body.email', 'welcome: body.email, mail: body.email, token: config.token'),
    );
    const report = JSON.stringify([calls, await rehearse('1.5.0')]);
    expect(report).toContain('/body/mail');
    for (const secret of SECRETS) expect(report).not.toContain(secret);
  });

  it('keeps what fits, and samples', async () => {
    await anew({ keep: 2 });
    for (const name of ['a', 'b', 'c']) await get(`/greet/${name}`);
    expect((await recording()).items).toMatchObject([{ output: { body: { json: { hello: 'c' } } } }, {}]);
    await get(`/greet/d?loud=${'x'.repeat(4_000)}`);
    await anew({ sample: 0 });
    await get('/greet/e');
    expect((await recording()).items).toEqual([]);
    await anew({ sample: 1, keep: 200 });
  });

  it('guards a swap where it is asked for', async () => {
    await get('/greet/ann');
    const refused = await send<{ summary: object }>('POST', 'plugins/greeter/upgrade', {
      version: '1.1.0',
      rehearse: true,
    });
    expect(refused).toMatchObject({
      status: 409,
      body: { code: 'REHEARSAL_DIFFERS', summary: { calls: 1, same: 0, different: 1, failed: 0 } },
    });
    expect(await get('/greet/ann')).toContain('"ann"');
    await publish('1.6.0', `${GOOD()} http.get('/new', () => 'new');`);
    const done = await send('POST', 'plugins/greeter/upgrade', { version: '1.6.0', rehearse: true });
    expect(done.status, JSON.stringify(done.body)).toBe(200);
    expect(await get('/new')).toBe('"new"');
    const trail = await send<{ items: { action: string }[] }>('GET', 'audit?limit=100');
    const actions = trail.body.items.map(({ action }) => action);
    expect(actions).toEqual(expect.arrayContaining(['plugins.rehearse', 'plugins.recording']));
  });
});

describe('a plugin that is configured to be recorded and rehearsed', () => {
  const upgrade = (body: object) => send<{ code?: string }>('POST', 'plugins/starter/upgrade', body);
  const channel = async () => {
    const socket = new WebSocket(`${kernel.url.replace('http', 'ws')}/ws`, {
      headers: { authorization: `Bearer ${kernel.key}` },
    });
    await once(socket, 'open');
    socket.send(
      JSON.stringify({ id: '1', type: 'call', channel: 'starter.echo', data: { email: 'alice@example.org' } }),
    );
    const [message] = (await once(socket, 'message')) as [Buffer];
    socket.close();
    return message.toString();
  };

  it('is recorded from its start, with what its setup asks of the host', async () => {
    await publish('1.0.0', STARTER, 'starter');
    const installed = await send('POST', 'marketplace/starter/install', { consent: true });
    expect(installed.status, JSON.stringify(installed.body)).toBe(200);
    await anew();
    expect(await (await kernel.call('/x/starter')).json()).toEqual({ first: 'hello', greeting: 'hello' });
    expect(await channel()).toContain('alice@example.org');
    const { items } = (await send<{ items: object[] }>('GET', 'plugins/starter/recording/calls')).body;
    expect(items).toMatchObject([
      { target: { kind: 'channel', name: 'echo' } },
      { hostCalls: [{ method: 'services.call' }] },
    ]);
    expect(JSON.stringify(items)).not.toContain('alice');
    const { body } = await send<Report>('POST', 'plugins/starter/rehearse', {});
    expect(body.summary).toMatchObject({ calls: 2, same: 2, unsteady: 0 });
    expect((await recording()).items).toMatchObject([
      { target: { kind: 'service', name: 'greetings', method: 'greet' } },
    ]);
    expect(
      (await rehearse((await send<{ version: string }>('GET', 'plugins/greeter')).body.version)).summary,
    ).toMatchObject({ calls: 1, same: 1 });
  });

  it('is upgraded to what does the same only, unless somebody says otherwise', async () => {
    await publish('1.1.0', STARTER.replace('const first', 'await greetings.greet(); const first'), 'starter');
    expect(await upgrade({})).toMatchObject({ status: 409, body: { code: 'REHEARSAL_DIFFERS' } });
    await publish('1.2.0', STARTER.replace('echoed: data', 'echoed: data, more: 1'), 'starter');
    expect(await upgrade({ version: '1.2.0' })).toMatchObject({ status: 409, body: { code: 'REHEARSAL_DIFFERS' } });
    expect((await upgrade({ version: '1.2.0', rehearse: false })).status).toBe(200);
    expect(await upgrade({ version: '1.1.0' })).toMatchObject({ body: { code: 'REHEARSAL_NOT_RECORDED' } });
  });
});

describe('the command line', () => {
  const server = () => ['--server', kernel.url, '--key', kernel.key];

  it('records and rehearses', async () => {
    expect(await atollJson(root, ['plugins', 'record', 'greeter', '--keep', '5', ...server()])).toMatchObject({
      keep: 5,
    });
    await get('/greet/ann');
    const same = await atoll(root, ['rehearse', 'greeter@1.6.0', ...server()]);
    expect(same, same.stderr).toMatchObject({ code: 0 });
    expect(same.stdout).toContain('1 of 1 calls are the same');
    const different = await atoll(root, ['rehearse', 'greeter@1.1.0', ...server()]);
    expect(different.code).toBe(1);
    expect(different.stdout).toContain('/body/hello: "ann" → "ANN"');
    const off = await atoll(root, ['plugins', 'record', 'greeter', '--off', ...server()]);
    expect(off.stdout).toContain('not recorded');
  });
});
