import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { atoll, atollJson } from '../support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

interface Refusal {
  code?: string;
  detail?: string;
}
interface View {
  asked: Record<string, unknown>;
  granted: Record<string, unknown>;
  narrowed: unknown;
  refused: number;
}

/** Everything it does, it does when it is asked to, and tells how that ended. */
const SOURCE = pluginSource(`
  const heard = [];
  let runs = 0;
  const notes = storage.collection('notes', {});
  const work = jobs.define('work', () => { runs++; });
  schedule.cron('nightly', '0 3 * * *', () => {});
  events.on('news.*', (event) => { heard.push(event.type); });
  const told = async (act) => {
    try { return { ok: true, value: await act() }; } catch (error) { return { code: error.code, detail: error.message }; }
  };
  const gifts = services.use('gifts');
  http.post('/gift', () => told(() => gifts.take()));
  http.get('/heard', () => ({ heard, runs }));
  http.post('/fetch', { body: Type.Object({ url: Type.String() }) }, ({ body }) =>
    told(async () => (await fetch(body.url, { headers: { 'x-key': '{{secret:PLAIN}}' } })).status));
  http.post('/plain-fetch', { body: Type.Object({ url: Type.String() }) }, ({ body }) =>
    told(async () => (await fetch(body.url)).status));
  http.post('/note', () => told(async () => (await notes.insert({ text: 'x' })).version));
  http.post('/emit', { body: Type.Object({ topic: Type.String() }) }, ({ body }) =>
    told(() => events.emit(body.topic, {})));
  http.post('/send', () => told(() => work.send({})));
  http.post('/secret', () => told(() => secrets.has('PLAIN')));
  http.post('/slow', () => told(async () => {
    await new Promise((resolve) => setTimeout(resolve, 400));
    return (await notes.insert({ text: 'late' })).version;
  }));
`);

let origin: string;
let server: Server;
let plugin: PluginOnDisk;
let giver: PluginOnDisk;
let kernel: TestKernel;
const home = mkdtempSync(path.join(tmpdir(), 'atoll-permissions-'));

const start = () =>
  startTestKernel({
    pluginPath: [plugin.dir, giver.dir],
    env: {
      ATOLL_DATA_DIR: path.join(home, 'server'),
      ATOLL_SECRETS__PLAIN__VALUE: 'very-secret',
      ATOLL_SECRETS__PLAIN__HOSTS: '127.0.0.1',
    },
  });

beforeAll(async () => {
  server = createServer((_, response) => response.end('ok'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const give = `services.provide({ name: 'gifts', version: '1.0.0', methods: { take: {} } }, { take: () => 'a gift' });`;
  giver = writePlugin('giver', pluginSource(give), { provides: { gifts: '1.0.0' } });
  plugin = writePlugin('asker', SOURCE, {
    consumes: { gifts: '^1.0.0' },
    permissions: {
      net: [origin],
      storage: true,
      jobs: true,
      schedule: true,
      secrets: ['PLAIN'],
      events: { publish: ['news.*'], subscribe: ['news.*'] },
    },
  });
  kernel = await start();
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  server?.close();
  plugin?.remove();
  giver?.remove();
  rmSync(home, { recursive: true, force: true });
});

const send = async <T = View>(method: string, target: string, body?: object) => {
  const response = await kernel.call(`/api/v1/plugins/asker${target}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
};
const ask = async (what: string, body: object = {}) => {
  const response = await kernel.call(`/x/asker/${what}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (await response.json()) as Refusal & { ok?: boolean; value?: unknown };
};
const heard = async () => (await (await kernel.call('/x/asker/heard')).json()) as { heard: string[]; runs: number };
const effects = async () =>
  (await send<{ effects: { kind: string; label: string; suspended?: boolean }[] }>('GET', '')).body.effects;
const everything = () => ({
  net: [origin],
  storage: true,
  jobs: true,
  schedule: true,
  secrets: ['PLAIN'],
  events: { publish: ['news.*'], subscribe: ['news.*'] },
  services: ['gifts'],
});

it('shows what is asked for and granted, and refuses to grant more', async () => {
  const { body } = await send('GET', '/permissions');
  expect(body).toMatchObject({ asked: everything(), granted: everything(), narrowed: null, refused: 0 });
  const more = await send<{ code: string; errors: { pointer: string }[] }>('PUT', '/permissions', {
    ...everything(),
    net: [origin, 'https://example.org', `${origin}/path`],
    gpu: true,
  });
  expect(more).toMatchObject({ status: 422, body: { code: 'VALIDATION_FAILED' } });
  expect(more.body.errors.map(({ pointer }) => pointer)).toEqual(['/gpu', '/net/1', '/net/2']);
  expect((await send('PUT', '/permissions', { nett: [] })).status).toBe(422);
  expect((await send('GET', '/permissions')).body.narrowed).toBeNull();
});

it('observes what it really uses, without granting more', async () => {
  expect(await send('PUT', '/permissions/observe', { observe: true })).toMatchObject({
    status: 200,
    body: { observing: true },
  });
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ ok: true, value: 200 });
  expect(await ask('note')).toMatchObject({ ok: true });
  expect(await ask('emit', { topic: 'news.one' })).toMatchObject({ ok: true });
  await expect.poll(async () => (await heard()).heard).toEqual(['news.one']);
  expect(await ask('plain-fetch', { url: 'http://127.0.0.1:1' })).toMatchObject({ code: 'NET_DENIED' });
  expect(await ask('emit', { topic: 'else.where' })).toMatchObject({ code: 'PERMISSION_DENIED' });
  const { body } = await send<{ used: object[]; refused: object[]; proposal: object }>('GET', '/permissions/usage');
  expect(body.used).toMatchObject([
    { kind: 'events.publish', value: 'news.one', count: 1 },
    { kind: 'events.subscribe', value: 'news.*', count: 1 },
    { kind: 'net', value: origin, count: 1 },
    { kind: 'storage', count: 1 },
  ]);
  expect(body.refused).toMatchObject([
    { kind: 'events.publish', value: 'else.where', count: 1 },
    { kind: 'net', value: 'http://127.0.0.1:1', count: 1 },
  ]);
  // The job and the schedule have not run, but wait to; the secret was not asked for.
  expect(body.proposal).toMatchObject({
    ...everything(),
    secrets: [],
    services: [],
    events: { publish: ['news.one'] },
  });
  expect(await send('PUT', '/permissions', body.proposal)).toMatchObject({ status: 200 });
  expect(await ask('emit', { topic: 'news.one' })).toMatchObject({ ok: true });
  expect(await ask('emit', { topic: 'news.two' })).toMatchObject({ code: 'PERMISSION_DENIED' });
  expect(await ask('secret')).toMatchObject({ code: 'PERMISSION_DENIED' });
  expect((await send('DELETE', '/permissions')).body.narrowed).toBeNull();
});

it('takes each permission away at the next call, and gives it back', async () => {
  const { startedAt } = (await send<{ startedAt: string }>('GET', '')).body;
  expect(await ask('fetch', { url: origin })).toMatchObject({ ok: true });
  const inFlight = ask('slow');
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(await send('PUT', '/permissions', {})).toMatchObject({ status: 200 });
  // The call began when it was allowed to; what it asks for comes later.
  expect(await inFlight).toMatchObject({ code: 'PERMISSION_DENIED', detail: expect.stringContaining('operator') });
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ code: 'NET_DENIED' });
  for (const [what, body] of [
    ['note', {}],
    ['emit', { topic: 'news.one' }],
    ['send', {}],
    ['secret', {}],
    ['gift', {}],
  ] as const)
    expect([what, await ask(what, body)]).toMatchObject([what, { code: 'PERMISSION_DENIED' }]);
  expect(
    (await effects())
      .filter(({ suspended }) => suspended)
      .map(({ kind }) => kind)
      .sort(),
  ).toEqual(['job', 'listener', 'schedule']);
  await send('PUT', '/permissions', { ...everything(), secrets: [] });
  expect(await ask('fetch', { url: origin })).toMatchObject({ code: 'SECRET_DENIED' });
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ ok: true });
  expect((await effects()).some(({ suspended }) => suspended)).toBe(false);
  await send('DELETE', '/permissions');
  expect(await ask('fetch', { url: origin })).toMatchObject({ ok: true });
  expect(await ask('gift')).toEqual({ ok: true, value: 'a gift' });
  // All of it went on in the same instance.
  expect((await send<{ startedAt: string }>('GET', '')).body.startedAt).toBe(startedAt);
});

it('ends what listens to a topic and what does jobs, and begins again where it was', async () => {
  const before = await heard();
  await send('PUT', '/permissions', { ...everything(), events: { publish: ['news.*'], subscribe: ['news.two'] } });
  for (const topic of ['news.one', 'news.two', 'news.three']) await ask('emit', { topic });
  await expect.poll(async () => (await heard()).heard).toEqual([...before.heard, 'news.two']);
  await send('PUT', '/permissions', { ...everything(), events: { publish: ['news.*'], subscribe: [] } });
  await ask('emit', { topic: 'news.two' });
  await ask('send');
  await expect.poll(async () => (await heard()).runs).toBe(before.runs + 1);
  await send('PUT', '/permissions', { ...everything(), jobs: false });
  await ask('emit', { topic: 'news.last' });
  await expect.poll(async () => (await heard()).heard).toEqual([...before.heard, 'news.two', 'news.last']);
  await send('DELETE', '/permissions');
});

it('lasts: through a reload, a change of configuration, and the end of the process', async () => {
  await send('PUT', '/permissions', { storage: true });
  await send('POST', '/reload', {});
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ code: 'NET_DENIED' });
  await send('PUT', '/config', {});
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ code: 'NET_DENIED' });
  expect(await kernel.stop()).toBe(0);
  kernel = await start();
  // What it can no longer do does not keep it from starting.
  expect(await send('GET', '')).toMatchObject({ status: 200, body: { state: 'active' } });
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ code: 'NET_DENIED' });
  expect(await ask('note')).toMatchObject({ ok: true });
  const { body } = await send<{ used: { kind: string }[] }>('GET', '/permissions/usage');
  expect(body.used.map(({ kind }) => kind)).toContain('net');
  await send('DELETE', '/permissions');
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ ok: true });
}, 60_000);

it('leaves changes, before and after, and refused calls in the audit trail', async () => {
  const read = async () =>
    ((await (await kernel.call('/api/v1/audit?limit=100')).json()) as { items: Record<string, unknown>[] }).items;
  const narrowed = (await read()).find(({ action }) => action === 'plugins.permissions.narrow')!;
  expect(narrowed).toMatchObject({ target: 'plugin:asker', after: ['storage'], outcome: 'done' });
  expect(narrowed.before).toContain(`net ${origin}`);
  for (let n = 0; n < 20; n++) await ask('emit', { topic: 'else.where' });
  await expect
    .poll(async () => (await read()).filter(({ action }) => action === 'plugins.syscall').length)
    .toBeGreaterThan(0);
  const refused = (await read()).filter(({ target }) => target === 'plugin:asker events.publish else.where');
  // The first of a kind is written, the others are counted.
  expect(refused.length).toBeLessThanOrEqual(2);
  expect(refused[0]).toMatchObject({ outcome: 'denied', code: 'PERMISSION_DENIED', actor: { id: 'asker' } });
});

it('can be done from the command line', async () => {
  const run = (...args: string[]) =>
    atoll(home, ['plugins', 'permissions', ...args, '--server', kernel.url, '--key', kernel.key]);
  expect((await run('asker', '--revoke', `net=${origin}`, '--revoke', 'jobs')).stdout).toMatch(
    /taken away\n.*\n.*taken/,
  );
  expect(await ask('plain-fetch', { url: origin })).toMatchObject({ code: 'NET_DENIED' });
  expect(await run('asker', '--revoke', 'net=https://example.org')).toMatchObject({ code: 2 });
  const shown = await atollJson<View>(home, [
    'plugins',
    'permissions',
    'asker',
    '--reset',
    '--server',
    kernel.url,
    '--key',
    kernel.key,
  ]);
  expect(shown.granted).toMatchObject(everything());
  expect((await run('asker', '--usage')).stdout).toContain('events.publish');
}, 60_000);
