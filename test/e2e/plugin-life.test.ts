import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';
import { descendants } from '../support/processes.js';

interface Info {
  state: string;
  reason?: string;
  version: string;
  effects: { kind: string; label: string }[];
  resources?: { cellPid: number };
}

const plugins: Record<string, PluginOnDisk> = {};
let kernel: TestKernel;

const answering = (text: string) =>
  pluginSource(`http.get('/', { response: Type.Object({ text: Type.String() }) }, () => ({ text: '${text}' }));`);

function add(id: string, source: string, manifest: Record<string, unknown> = {}): void {
  plugins[id] = writePlugin(id, source, manifest);
}

beforeAll(async () => {
  add(
    'giver',
    pluginSource(
      `services.provide({ name: 'words', version: '1.2.0', methods: { one: { output: Type.String() } } }, { one: () => 'a word' });`,
    ),
    { provides: { words: '1.2.0' }, mounts: [] },
  );
  add(
    'taker',
    pluginSource(`const words = services.use('words'); http.get('/', async () => ({ word: await words.one() }));`),
    { consumes: { words: '^1.0.0' } },
  );
  add('lonely', answering('never'), { consumes: { nothing: '^2.0.0' } });
  add('changing', answering('first'));
  add('settings', pluginSource(`http.get('/', () => ({ greeting: config.greeting }));`), {
    config: {
      type: 'object',
      additionalProperties: false,
      properties: { greeting: { type: 'string', default: 'Hi' }, key: { type: 'string', secret: true } },
    },
  });
  add('broken', pluginSource(`throw new Error('no luck');`));
  add(
    'busy',
    pluginSource(`events.on('busy.tick', () => {}); ws.channel('echo', {}, () => 1); setInterval(() => {}, 1e6);
    http.get('/slow', async () => { await new Promise((r) => setTimeout(r, 400)); return { done: true }; });`),
    {
      permissions: { events: { subscribe: ['busy.*'] } },
    },
  );
  add('crasher', pluginSource(`http.get('/', () => { const m = new Map(); for (let n = 0; ; n++) m.set(n, [n]); });`), {
    limits: { memoryMb: 16, timeoutMs: 5_000 },
  });
  kernel = await startTestKernel({
    pluginPath: Object.values(plugins).map(({ dir }) => dir),
    env: { ATOLL_SANDBOX__MAX_CRASHES: '3', ATOLL_SANDBOX__BACKOFF_MS: '1' },
  });
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  for (const plugin of Object.values(plugins)) plugin.remove();
});

const show = async (id: string) => (await (await kernel.call(`/api/v1/plugins/${id}`)).json()) as Info;
const post = (id: string, action: string, body?: object) =>
  kernel.call(`/api/v1/plugins/${id}/${action}`, {
    method: 'POST',
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
const read = async (id: string) => (await (await kernel.call(`/x/${id}`)).json()) as Record<string, unknown>;

describe('a plugin', () => {
  it('waits for a service, and says in words which', async () => {
    const { state, reason } = await show('lonely');
    expect(state).toBe('pending');
    expect(reason).toContain('nothing');
    const problem = await kernel.call('/x/lonely');
    expect(problem.status).toBe(503);
    expect(await problem.json()).toMatchObject({
      code: 'PLUGIN_NOT_ACTIVE',
      detail: expect.stringContaining('nothing'),
    });
  });

  it('that throws in its setup fails alone, with the place in its own source', async () => {
    expect(await show('broken')).toMatchObject({ state: 'failed', reason: expect.stringContaining('no luck') });
    expect(await (await kernel.call('/api/v1/plugins/broken/logs')).text()).toContain('src/index.ts:3');
  });

  it('is started when its source is mended', async () => {
    plugins.broken!.write(answering('mended'));
    expect(await (await post('broken', 'reload')).json()).toMatchObject({ state: 'active' });
    expect(await read('broken')).toEqual({ text: 'mended' });
  });

  it('that others need is not stopped, but all of them are when asked', async () => {
    expect(await read('taker')).toEqual({ word: 'a word' });
    const refused = await post('giver', 'disable');
    expect(refused.status).toBe(409);
    expect(await refused.json()).toMatchObject({ code: 'PLUGIN_NEEDED', dependants: ['taker'] });
    expect((await post('giver', 'disable', { cascade: true })).status).toBe(200);
    expect(await show('giver')).toMatchObject({ state: 'stopped', effects: [] });
    expect(await show('taker')).toMatchObject({ state: 'pending', reason: expect.stringContaining('giver') });
    await post('giver', 'enable');
    expect(await show('taker')).toMatchObject({ state: 'active' });
    expect(await read('taker')).toEqual({ word: 'a word' });
  });

  it('serves the new version after a reload, and the old one when the new one is broken', async () => {
    expect(await read('changing')).toEqual({ text: 'first' });
    plugins.changing!.write(answering('second'));
    expect((await post('changing', 'reload')).status).toBe(200);
    expect(await read('changing')).toEqual({ text: 'second' });
    for (const source of [
      pluginSource(`throw new Error('no');`),
      'export default 1;',
      'syntax error',
      pluginSource(`http.get('/', () => 1); http.get('/', () => 2);`),
      pluginSource(`lifecycle.onHealth(() => { throw new Error('sick'); });`),
    ]) {
      plugins.changing!.write(source);
      const refused = await post('changing', 'reload');
      expect(refused.status).toBeGreaterThanOrEqual(400);
      expect(await refused.json()).toMatchObject({ code: expect.stringMatching(/^(PLUGIN|BUNDLE)_/) });
      expect(await read('changing')).toEqual({ text: 'second' });
    }
  });

  it('whose manifest became wrong keeps running, and the error names the field', async () => {
    const file = path.join(plugins.changing!.dir, 'package.json');
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, good.replace('"/x/changing"', '"x"'));
    const refused = await post('changing', 'reload');
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ code: 'MANIFEST_INVALID', detail: expect.stringContaining('mounts') });
    expect(await read('changing')).toEqual({ text: 'second' });
    writeFileSync(file, good);
  });

  it('takes new settings when they fit, and hides secret ones', async () => {
    const put = (values: object) =>
      kernel.call('/api/v1/plugins/settings/config', {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(values),
      });
    expect(await read('settings')).toEqual({ greeting: 'Hi' });
    expect((await put({ greeting: 'Ahoy', key: 'hush-hush' })).status).toBe(200);
    expect(await read('settings')).toEqual({ greeting: 'Ahoy' });
    const shown = await (await kernel.call('/api/v1/plugins/settings/config')).text();
    expect(shown).toContain('Ahoy');
    expect(shown).not.toContain('hush-hush');
    const refused = await put({ greeting: 7 });
    expect(refused.status).toBe(422);
    expect(await refused.json()).toMatchObject({ detail: expect.stringContaining('greeting') });
    expect(await read('settings')).toEqual({ greeting: 'Ahoy' });
  });

  it('finishes what it has when it is disabled, and leaves nothing behind', async () => {
    const kinds = (await show('busy')).effects.map(({ kind }) => kind);
    expect(kinds).toEqual(expect.arrayContaining(['route', 'listener', 'channel', 'timer']));
    const slow = kernel.call('/x/busy/slow');
    await expect.poll(async () => (await show('busy')).effects.length).toBeGreaterThan(0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await post('busy', 'disable');
    expect(await (await slow).json()).toEqual({ done: true });
    expect(await show('busy')).toMatchObject({ state: 'stopped', effects: [], reason: expect.any(String) });
    expect((await kernel.call('/x/busy/slow')).status).toBe(503);
    await post('busy', 'enable');
    expect(await show('busy')).toMatchObject({ state: 'active' });
  });

  it('comes back by itself when its process is killed', async () => {
    const { resources } = await show('settings');
    process.kill(resources!.cellPid, 'SIGKILL');
    await expect.poll(async () => (await show('settings')).resources?.cellPid, { timeout: 10_000 }).not.toBe(undefined);
    await expect.poll(async () => (await kernel.call('/x/settings')).status, { timeout: 10_000 }).toBe(200);
    expect((await show('settings')).resources!.cellPid).not.toBe(resources!.cellPid);
    expect(descendants(kernel.process.pid!)).not.toContain(resources!.cellPid);
  });

  it('comes back while another one takes long to start, and as it is wanted by then', async () => {
    plugins.changing!.write(pluginSource('lifecycle.onHealth(() => new Promise((r) => setTimeout(r, 6000)));'));
    let reloaded = false;
    const reload = post('changing', 'reload').finally(() => (reloaded = true));
    const { resources } = await show('settings');
    process.kill(resources!.cellPid, 'SIGKILL');
    await expect.poll(async () => (await show('settings')).resources?.cellPid).not.toBe(resources!.cellPid);
    await expect.poll(async () => (await kernel.call('/x/settings')).status, { timeout: 5_000 }).toBe(200);
    expect(reloaded).toBe(false);
    expect((await reload).status).toBe(200);
    // Killed once more, and disabled before it could come back: that counts.
    process.kill((await show('settings')).resources!.cellPid, 'SIGKILL');
    await post('settings', 'disable');
    await post('settings', 'enable');
    await expect.poll(async () => (await kernel.call('/x/settings')).status).toBe(200);
    await post('settings', 'disable');
    expect(await show('settings')).toMatchObject({ state: 'stopped', effects: [] });
    await post('settings', 'enable');
  }, 60_000);

  it('that crashes too often is quarantined alone, until it is enabled again', async () => {
    for (let n = 1; n <= 3; n++) {
      const crashed = await kernel.call('/x/crasher');
      expect(crashed.status).toBeGreaterThanOrEqual(500);
      // A caller may be told of a missed deadline before the crash itself is seen.
      await expect
        .poll(() => show('crasher'), { timeout: 15_000 })
        .toMatchObject(n < 3 ? { state: 'active', restarts: n } : { state: 'quarantined' });
    }
    expect(await show('crasher')).toMatchObject({ reason: expect.stringContaining('crashed too often') });
    const refused = await kernel.call('/x/crasher');
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({ code: 'PLUGIN_QUARANTINED' });
    expect(await read('taker')).toEqual({ word: 'a word' });
    expect(await (await post('crasher', 'enable')).json()).toMatchObject({ state: 'active' });
  }, 60_000);

  it('that does not exist is 404 for every action', async () => {
    for (const action of ['enable', 'disable', 'reload']) {
      const response = await post('nobody', action);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: 'PLUGIN_NOT_FOUND' });
    }
  });
});

it('a second server on the same port says so, in words', async () => {
  const env = { ATOLL_PORT: new URL(kernel.url).port };
  await expect(startTestKernel({ env })).rejects.toThrow(/ended with 1:[\s\S]*is taken[\s\S]*ADDRESS_IN_USE/);
});

it('a server told to end while it starts ends without a complaint', async () => {
  const dataDir = mkdtempSync(path.join(tmpdir(), 'atoll-start-'));
  const onSpawn = (child: ChildProcess) => {
    // By then it listens to signals, and the database is not open yet.
    const looking = setInterval(() => {
      if (!existsSync(path.join(dataDir, 'database.lock'))) return;
      clearInterval(looking);
      child.kill('SIGINT');
    }, 5);
  };
  const started = startTestKernel({ onSpawn, env: { ATOLL_DATA_DIR: dataDir } });
  const ended = await started.catch((error: Error) => error.message);
  expect(ended).toMatch(/ended with 0:/);
  expect(ended).not.toMatch(/could not go on|"level":"(error|fatal)"/);
  rmSync(dataDir, { recursive: true, force: true });
});
