import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { atoll, atollJson } from '../support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { newKey, packSample, type SamplePlugin } from '../support/packages.js';

interface Figures {
  version: string;
  calls: number;
  errors: number;
}
interface Canary {
  state: string;
  from: string;
  to: string;
  reason?: string;
  running: Figures;
  candidate: Figures;
}
interface Info {
  version: string;
  state: string;
  canary?: Canary;
  retiring?: unknown;
}

const root = mkdtempSync(path.join(tmpdir(), 'atoll-canary-'));
const key = newKey();
let kernel: TestKernel;
let next = 0;

const start = () => startTestKernel({ env: { ATOLL_DATA_DIR: path.join(root, 'data') } });

beforeAll(async () => {
  kernel = await start();
  await publish('tide', '1.0.0', GOOD);
  await publish('boat', '1.0.0', {
    code: `const tides = services.use('tides'); http.get('/', async () => ({ version: await tides.which() }));`,
    atoll: { consumes: { tides: '^1.0.0' } },
  });
  expect((await send('POST', 'marketplace/boat/install', { consent: true })).status).toBe(200);
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  rmSync(root, { recursive: true, force: true });
});

const GOOD = `
  let count = 0;
  let heard = 0;
  http.get('/', () => ({ version, count: ++count }));
  http.get('/heard', () => ({ version, heard }));
  http.get('/wait', async () => { await new Promise((resolve) => setTimeout(resolve, 500)); return { version }; });
  http.post('/emit', () => events.emit('tide.turned', {}));
  ws.channel('which', () => version);
  events.on('tide.turned', () => { heard++; });
  services.provide({ name: 'tides', version: '1.0.0', methods: { which: { output: Type.String() } } }, { which: () => version });
  lifecycle.onHandoff({ version: 1, give: () => ({ count }), receive: ({ state }) => { count = state.count; } });
`;
const FAILING = GOOD.replace('({ version, count: ++count })', "{ throw new Error('broken'); }");
const SLOW = GOOD.replace(
  '() => ({ version, count: ++count })',
  'async () => { await new Promise((resolve) => setTimeout(resolve, 250)); return { version }; }',
);
const NEW_ROUTES = `${GOOD} http.get('/new', () => ({ version }));`;
/** Ends the whole process that it runs in. */
const CRASHING = `${GOOD} http.get('/boom', () => { const map = new Map(); for (let n = 0; ; n++) map.set(n, n); });`;

async function publish(id: string, version: string, code: string | { code: string; atoll: object }): Promise<void> {
  const { code: setup, atoll: field } = typeof code === 'string' ? { code, atoll: {} } : code;
  const sample: SamplePlugin = {
    id,
    version,
    atoll: {
      mounts: [`/x/${id}`],
      ...(id === 'tide' && {
        provides: { tides: '1.0.0' },
        permissions: { events: { publish: ['tide.*'], subscribe: ['tide.*'] } },
      }),
      limits: { memoryMb: 32, timeoutMs: 20_000 },
      ...field,
    },
    files: {
      'src/index.ts': `import { definePlugin, Type } from '@atoll/plugin-sdk';
const version = ${JSON.stringify(version)};
export default definePlugin(({ http, ws, events, services, lifecycle }) => {${setup}});`,
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
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as T };
};
const show = async () => (await send<Info>('GET', 'plugins/tide')).body;
const canary = async () => (await send<Canary>('GET', 'plugins/tide/canary')).body;
const get = async (target = '', headers: Record<string, string> = {}) => {
  const response = await kernel.call(`/x/tide${target}`, { headers });
  return {
    status: response.status,
    ...((await response.json()) as { version?: string; count?: number; heard?: number }),
  };
};
/** So many requests, a few at a time. */
const many = async (count: number, target = '') => {
  const answers: Awaited<ReturnType<typeof get>>[] = [];
  let left = count;
  const worker = async () => {
    while (left-- > 0) answers.push(await get(target));
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return answers;
};
const versionsOf = (answers: { version?: string }[]) => new Set(answers.map(({ version }) => version));
/** Publishes another version and tries it. */
const tryOut = async (code: string, spec: object) => {
  const version = `1.${++next}.0`;
  await publish('tide', version, code);
  const begun = await send<{ done: boolean; canary: Canary }>('POST', 'plugins/tide/upgrade', {
    version,
    canary: spec,
  });
  return { version, begun };
};
const HEADER = { header: { name: 'x-canary', value: '1' } };
const byHand = { promoteAfterMs: null };

let before: string;
beforeEach(async () => {
  before = (await show()).version;
});

describe('a canary', () => {
  it('that does well is promoted by the rule', async () => {
    const { version, begun } = await tryOut(GOOD, {
      share: 0.5,
      rule: { minCalls: 10, promoteAfterMs: null, promoteAfterCalls: 40 },
    });
    expect(begun).toMatchObject({
      status: 200,
      body: { done: false, canary: { state: 'running', from: before, to: version } },
    });
    expect(await show()).toMatchObject({ version: before, canary: { state: 'running', to: version } });
    const answers = await many(60);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    expect(versionsOf(answers)).toEqual(new Set([before, version]));
    const view = await canary();
    expect(view.candidate).toMatchObject({ version, calls: 30, errors: 0, p95Ms: expect.any(Number) });
    expect(view.running).toMatchObject({ version: before, calls: 30, errors: 0 });
    const more = await many(60);
    expect(more.filter(({ status }) => status !== 200)).toEqual([]);
    await expect.poll(canary).toMatchObject({ state: 'promoted', reason: expect.stringContaining('went well') });
    expect(await show()).toMatchObject({ version, state: 'active' });
    expect((await get()).version).toBe(version);
    expect(await send('POST', 'plugins/tide/rollback')).toMatchObject({ status: 200 });
    expect((await get()).version).toBe(before);
  });

  it('that fails is rolled back by the rule, and nobody else notices', async () => {
    const { version } = await tryOut(FAILING, { share: 0.25, rule: { minCalls: 5 } });
    const answers = await many(60);
    await expect.poll(canary).toMatchObject({ state: 'rolled-back', reason: expect.stringContaining('failed') });
    const view = await canary();
    expect(view.running.errors).toBe(0);
    expect(view.candidate).toMatchObject({ version, errors: view.candidate.calls });
    expect(answers.filter(({ status }) => status === 200).every((one) => one.version === before)).toBe(true);
    expect(answers.filter(({ status }) => status !== 200).length).toBeLessThanOrEqual(15);
    const later = await many(20);
    expect(versionsOf(later)).toEqual(new Set([before]));
    await expect.poll(async () => (await show()).retiring, { timeout: 10_000 }).toBeUndefined();
  });

  it('that is slower is rolled back by the rule', async () => {
    await tryOut(SLOW, { share: 0.5, rule: { minCalls: 5, latencyFactor: 2, latencyMarginMs: 20 } });
    const answers = await many(24);
    expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
    await expect.poll(canary).toMatchObject({ state: 'rolled-back', reason: expect.stringContaining('p95') });
    expect(versionsOf(await many(10))).toEqual(new Set([before]));
  });

  it('takes requests with a header, and all else stays: events, channels, services', async () => {
    const { version } = await tryOut(NEW_ROUTES, { ...HEADER, rule: byHand });
    expect((await get()).version).toBe(before);
    expect((await get('', { 'x-canary': '1' })).version).toBe(version);
    expect((await get('', { 'x-canary': '2' })).version).toBe(before);
    expect(await get('/new', { 'x-canary': '1' })).toMatchObject({ status: 200, version });
    expect((await get('/new')).status).toBe(404);
    const heard = (await get('/heard')).heard!;
    await kernel.call('/x/tide/emit', { method: 'POST', headers: { 'x-canary': '1' } });
    await expect.poll(async () => (await get('/heard')).heard).toBe(heard + 1);
    expect((await get('/heard', { 'x-canary': '1' })).heard).toBe(0);
    expect(await (await kernel.call('/x/boat')).json()).toEqual({ version: before });
    expect((await send('POST', 'plugins/tide/canary/abort')).body).toMatchObject({ state: 'aborted' });
    expect((await get('', { 'x-canary': '1' })).version).toBe(before);
    expect((await send('POST', 'plugins/tide/canary/abort')).status).toBe(409);
  });

  it('takes users and organisations over HTTP, WebSocket and services alike', async () => {
    const made = await send<{ id: string }>('POST', 'users', {
      username: 'ada',
      password: 'a long passphrase',
      roles: ['user'],
    });
    const login = { username: 'ada', password: 'a long passphrase' };
    const { accessToken } = (await send<{ accessToken: string }>('POST', 'auth/login', login)).body;
    const ada = { authorization: `Bearer ${accessToken}` };
    const { version } = await tryOut(GOOD, { users: [made.body.id], rule: byHand });
    expect([(await get()).version, (await get('', ada)).version]).toEqual([before, version]);
    expect(await (await kernel.call('/x/boat', { headers: ada })).json()).toEqual({ version });
    const which = async (headers: Record<string, string>) => {
      const socket = new WebSocket(`${kernel.url.replace('http', 'ws')}/ws`, { headers });
      await new Promise((resolve) => socket.once('open', resolve));
      socket.send(JSON.stringify({ id: 1, type: 'call', channel: 'tide.which' }));
      const message = await new Promise((resolve) =>
        socket.once('message', (data) => resolve(JSON.parse(String(data)))),
      );
      socket.close();
      return (message as { data: string }).data;
    };
    expect(await which(ada)).toBe(version);
    expect(await which({ authorization: `Bearer ${kernel.key}` })).toBe(before);
    const [{ count }] = [await get(), await get('', ada), await get('', ada)];
    expect(await send('POST', 'plugins/tide/canary/promote')).toMatchObject({
      status: 200,
      body: { state: 'promoted' },
    });
    // With the state of the version before it, and not what it had counted itself.
    expect(await get()).toMatchObject({ version, count: count! + 1 });
    expect(await (await kernel.call('/x/boat')).json()).toEqual({ version });
  });

  it('that takes its process down is rolled back; only its own callers notice', async () => {
    await tryOut(CRASHING, { ...HEADER, rule: byHand });
    const waiting = Array.from({ length: 5 }, () => get('/wait'));
    const boom = await get('/boom', { 'x-canary': '1' });
    expect(boom.status).toBe(502);
    expect((await Promise.all(waiting)).map(({ status, version }) => ({ status, version }))).toEqual(
      waiting.map(() => ({ status: 200, version: before })),
    );
    expect(await canary()).toMatchObject({ state: 'rolled-back', reason: expect.stringContaining('ended') });
    expect(await get('', { 'x-canary': '1' })).toMatchObject({ status: 200, version: before });
    expect(await show()).toMatchObject({ state: 'active', version: before });
  }, 60_000);

  it('that does not start changes nothing, nor does one that nobody could meet', async () => {
    const { begun } = await tryOut(`throw new Error('no');`, { share: 0.5 });
    expect(begun).toMatchObject({ status: 502, body: { code: 'PLUGIN_START_FAILED' } });
    expect(versionsOf(await many(8))).toEqual(new Set([before]));
    expect((await tryOut(GOOD, {})).begun).toMatchObject({ status: 422, body: { code: 'VALIDATION_FAILED' } });
    expect((await tryOut(GOOD, { share: 2 })).begun.status).toBe(422);
    expect(await send('POST', 'plugins/boat/upgrade', { canary: { share: 0.5 } })).toMatchObject({ status: 409 });
    expect((await send('GET', 'plugins/boat/canary')).status).toBe(404);
  });

  it('keeps everything else from changing its plugin, but for disabling it', async () => {
    await tryOut(GOOD, { ...HEADER, rule: byHand });
    for (const [method, target, body] of [
      ['POST', 'plugins/tide/upgrade', { version: '1.0.0' }],
      ['POST', 'plugins/tide/reload', {}],
      ['PUT', 'plugins/tide/config', {}],
      ['POST', 'plugins/tide/rollback', {}],
      ['DELETE', 'plugins/tide?cascade=true', {}],
    ] as const)
      expect([target, await send(method, target, body)]).toMatchObject([
        target,
        { status: 409, body: { code: 'CONFLICT' } },
      ]);
    expect((await send('POST', 'plugins/tide/disable', { cascade: true })).status).toBe(200);
    expect(await canary()).toMatchObject({ state: 'rolled-back', reason: 'It is disabled.' });
    expect((await send('POST', 'plugins/tide/enable')).status).toBe(200);
    expect((await get('', { 'x-canary': '1' })).version).toBe(before);
  });

  it('is begun, shown and ended from the command line', async () => {
    const version = `1.${++next}.0`;
    await publish('tide', version, GOOD);
    const to = ['--server', kernel.url, '--key', kernel.key];
    const begun = await atoll(root, [
      'upgrade',
      `tide@${version}`,
      '--canary',
      '50%',
      '--canary-rule',
      'promoteAfterMs=null',
      ...to,
    ]);
    expect(begun.stdout).toContain(`The canary tide@${version} is running`);
    await many(10);
    expect((await atoll(root, ['plugins', 'canary', 'tide', ...to])).stdout).toMatch(/VERSION +CALLS +ERRORS/);
    expect((await atoll(root, ['upgrade', 'tide', '--canary', '150%', ...to])).code).toBe(2);
    const ended = await atollJson<Canary>(root, ['plugins', 'canary', 'tide', '--promote', ...to]);
    expect(ended).toMatchObject({ state: 'promoted', to: version });
    expect((await show()).version).toBe(version);
  }, 60_000);

  it('does not outlive the process; the version that is installed runs, and the reason is shown', async () => {
    const { version } = await tryOut(GOOD, { share: 0.5, rule: byHand });
    kernel.process.kill('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 200));
    kernel = await start();
    expect(await show()).toMatchObject({ version: before, state: 'active' });
    expect(await canary()).toMatchObject({
      state: 'rolled-back',
      to: version,
      reason: expect.stringContaining('restarted'),
    });
    expect(versionsOf(await many(8))).toEqual(new Set([before]));
  }, 60_000);

  it('leaves each transition in the audit trail, whoever made it', async () => {
    const { items } = (await send<{ items: Record<string, unknown>[] }>('GET', 'audit?limit=200')).body;
    const of = (action: string) => items.filter((item) => item.action === action && item.target === 'plugin:tide');
    expect(of('plugins.canary.promoted')[0]).toMatchObject({ actor: { kind: 'system' } });
    expect(of('plugins.canary.rolled-back').length).toBeGreaterThanOrEqual(4);
    expect(of('plugins.canary.abort')[0]).toMatchObject({ actor: { kind: 'root' }, after: { state: 'aborted' } });
    expect(of('plugins.canary.promote')).not.toHaveLength(0);
  });
});
