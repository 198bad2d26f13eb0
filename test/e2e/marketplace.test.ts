import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { newKey, packSample, type SamplePlugin } from '../support/packages.js';

interface Info {
  version: string;
  state: string;
}

const root = mkdtempSync(path.join(tmpdir(), 'atoll-market-'));
const dataDir = path.join(root, 'data');
const key = newKey();
let kernel: TestKernel;

const start = () => startTestKernel({ env: { ATOLL_DATA_DIR: dataDir } });

beforeAll(async () => {
  kernel = await start();
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  rmSync(root, { recursive: true, force: true });
});

const source = (text: string) => ({
  'src/index.ts': `import { definePlugin } from '@atoll/plugin-sdk';
export default definePlugin(({ http }) => { http.get('/', () => ({ text: ${JSON.stringify(text)} })); });`,
});

async function publish(sample: SamplePlugin): Promise<Response> {
  const atoll = { mounts: [`/x/${sample.id}`], ...sample.atoll };
  const files = sample.files ?? source(`${sample.id} ${sample.version ?? '1.0.0'}`);
  const { bytes } = await packSample(root, { ...sample, atoll, files }, key);
  return kernel.call('/api/v1/marketplace/publish', { method: 'POST', body: new Uint8Array(bytes) });
}

const send = async (method: string, target: string, body: object = {}) => {
  const response = await kernel.call(`/api/v1/${target}`, {
    method,
    ...(method !== 'GET' && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, never> };
};
const show = async (id: string) => (await send('GET', `plugins/${id}`)).body as unknown as Info;
const says = async (id: string) => ((await (await kernel.call(`/x/${id}`)).json()) as { text?: string }).text;

describe('the marketplace', () => {
  it('takes a package in, shows and finds it', async () => {
    const first = await publish({ id: 'tide' });
    expect(await first.text()).toContain('added');
    expect(first.status).toBe(201);
    expect((await publish({ id: 'tide' })).status).toBe(200);
    const found = (await send('GET', 'marketplace?q=tid')).body as unknown as {
      items: { id: string; version: string }[];
    };
    expect(found.items).toMatchObject([{ id: 'tide', version: '1.0.0' }]);
    const shown = await send('GET', 'marketplace/tide');
    expect(shown.body).toMatchObject({
      id: 'tide',
      versions: [{ version: '1.0.0' }],
      readme: expect.stringContaining('# tide'),
    });
    const tarball = await kernel.call('/api/v1/marketplace/tide/versions/1.0.0/tarball');
    expect((await tarball.arrayBuffer()).byteLength).toBeGreaterThan(500);
    expect((await send('GET', 'marketplace/nothing')).status).toBe(404);
  });

  it('refuses what is no package, and the same version with other bytes', async () => {
    const junk = await kernel.call('/api/v1/marketplace/publish', { method: 'POST', body: 'junk' });
    expect(junk.status).toBe(422);
    expect(await junk.json()).toMatchObject({ code: 'PACKAGE_DAMAGED' });
    const other = await publish({ id: 'tide', files: source('changed') });
    expect(other.status).toBe(409);
    expect(await other.json()).toMatchObject({ code: 'VERSION_EXISTS' });
  });

  it('tells the plan, asks for consent, and installs', async () => {
    const dry = await send('POST', 'marketplace/tide/install', { dryRun: true });
    expect(dry.body).toMatchObject({ done: false, plan: [{ action: 'install', id: 'tide', to: '1.0.0' }] });
    expect(await says('tide')).toBeUndefined();
    const refused = await send('POST', 'marketplace/tide/install');
    expect(refused).toMatchObject({ status: 409, body: { code: 'CONSENT_NEEDED' } });
    const done = await send('POST', 'marketplace/tide/install', { consent: true });
    expect(done).toMatchObject({ status: 200, body: { done: true, plugin: { id: 'tide', state: 'active' } } });
    expect(await says('tide')).toBe('tide 1.0.0');
  });

  it('upgrades, also to what asks for more once that is agreed to, and goes back', async () => {
    await publish({ id: 'tide', version: '1.1.0' });
    expect(await send('POST', 'plugins/tide/upgrade')).toMatchObject({ status: 200, body: { done: true } });
    expect(await says('tide')).toBe('tide 1.1.0');
    await publish({ id: 'tide', version: '1.2.0', atoll: { permissions: { net: ['https://api.example.com'] } } });
    const waits = await send('POST', 'plugins/tide/upgrade');
    expect(waits).toMatchObject({
      status: 409,
      body: {
        code: 'CONSENT_NEEDED',
        plan: [{ permissions: { added: [{ kind: 'net', value: 'https://api.example.com' }] } }],
      },
    });
    expect(await says('tide')).toBe('tide 1.1.0');
    await send('POST', 'plugins/tide/upgrade', { consent: true });
    expect(await says('tide')).toBe('tide 1.2.0');
    expect(await send('POST', 'plugins/tide/rollback')).toMatchObject({ status: 200 });
    expect(await show('tide')).toMatchObject({ version: '1.1.0', state: 'active' });
    expect(await send('POST', 'plugins/tide/rollback', { version: '1.2.0' })).toMatchObject({ status: 200 });
    expect(await send('POST', 'plugins/tide/rollback', { version: '9.0.0' })).toMatchObject({ status: 404 });
    expect(await says('tide')).toBe('tide 1.2.0');
  });

  it('keeps away from an upgrade what was taken away before, and gives it what was consented to', async () => {
    await publish({ id: 'dune', atoll: { permissions: { storage: true, jobs: true } } });
    await send('POST', 'marketplace/dune/install', { consent: true });
    expect(await send('PUT', 'plugins/dune/permissions', { jobs: true })).toMatchObject({ status: 200 });
    const more = { permissions: { storage: true, jobs: true, schedule: true } };
    await publish({ id: 'dune', version: '1.1.0', atoll: more });
    expect(await send('POST', 'plugins/dune/upgrade')).toMatchObject({ status: 409, body: { code: 'CONSENT_NEEDED' } });
    expect(await send('POST', 'plugins/dune/upgrade', { consent: true })).toMatchObject({ status: 200 });
    expect((await send('GET', 'plugins/dune/permissions')).body).toMatchObject({
      asked: more.permissions,
      granted: { storage: false, jobs: true, schedule: true },
    });
    await send('POST', 'plugins/dune/rollback');
    expect((await send('GET', 'plugins/dune/permissions')).body).toMatchObject({
      granted: { storage: false, jobs: true },
    });
    await send('DELETE', 'plugins/dune');
  });

  it('keeps the old version when the new one is broken', async () => {
    const broken = [
      'throw new Error("no");',
      'export default { setup() { throw new Error("no"); } };',
      'export default { setup: () => new Promise(() => {}) };',
      'export default { setup: () => { for (;;); } };',
      'export default { setup({ http }) { http.get("/", () => 1); http.get("/", () => 2); } };',
      'export default { setup({ lifecycle }) { lifecycle.onHealth(() => false); } };',
    ];
    for (const [n, code] of broken.entries()) {
      const version = `2.0.${n}`;
      await publish({ id: 'tide', version, files: { 'src/index.ts': code }, atoll: { limits: { timeoutMs: 500 } } });
      const refused = await send('POST', 'plugins/tide/upgrade', { version, consent: true });
      expect(refused.status).toBeGreaterThanOrEqual(400);
      expect(await says('tide')).toBe('tide 1.2.0');
      await send('POST', `marketplace/tide/versions/${version}/yank`, { reason: 'broken' });
    }
  }, 90_000);

  it('never chooses a yanked version, but goes back to one', async () => {
    await publish({ id: 'tide', version: '3.0.0' });
    await send('POST', 'plugins/tide/upgrade', { consent: true });
    await send('POST', 'marketplace/tide/versions/1.2.0/yank', { reason: 'too old' });
    expect(await send('POST', 'plugins/tide/upgrade', { version: '1.2.0' })).toMatchObject({
      status: expect.any(Number),
    });
    expect(await says('tide')).toBe('tide 3.0.0');
    await send('POST', 'plugins/tide/rollback', { version: '1.2.0' });
    expect(await says('tide')).toBe('tide 1.2.0');
    await send('POST', 'plugins/tide/rollback', { version: '3.0.0' });
  });

  it('installs what is needed as well, all or nothing', async () => {
    await publish({
      id: 'moon',
      atoll: { provides: { gravity: '1.0.0' } },
      files: {
        'src/index.ts': `import { definePlugin, Type } from '@atoll/plugin-sdk';
export default definePlugin(({ services, http }) => {
  services.provide({ name: 'gravity', version: '1.0.0', methods: { pull: { output: Type.Number() } } }, { pull: () => 1.6 });
  http.get('/', () => ({ text: 'moon' }));
});`,
      },
    });
    await publish({
      id: 'ebb',
      atoll: { dependencies: { moon: '^1.0.0' } },
      files: { 'src/index.ts': 'throw new Error("no");' },
    });
    const failed = await send('POST', 'marketplace/ebb/install', { consent: true });
    expect(failed.status).toBe(502);
    expect((await send('GET', 'plugins/moon')).status).toBe(404);
    await publish({ id: 'flow', atoll: { dependencies: { moon: '^1.0.0' } } });
    expect(await send('POST', 'marketplace/flow/install', { consent: true })).toMatchObject({
      status: 200,
      body: { plan: [{ id: 'moon' }, { id: 'flow' }] },
    });
    expect([await says('moon'), await says('flow')]).toEqual(['moon', 'flow 1.0.0']);
    expect(await send('DELETE', 'plugins/moon')).toMatchObject({ status: 409, body: { code: 'PLUGIN_NEEDED' } });
    expect(await send('DELETE', 'plugins/moon?cascade=true')).toMatchObject({ status: 200 });
    for (const id of ['moon', 'flow']) expect((await send('GET', `plugins/${id}`)).status).toBe(404);
  });

  it('does not remove what comes from a folder', async () => {
    expect(await send('DELETE', 'plugins/hello')).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
    expect(await send('POST', 'plugins/hello/rollback')).toMatchObject({ status: 404 });
  });

  it('runs the same versions after a crash', async () => {
    await publish({ id: 'tide', version: '3.1.0' });
    // It may die at any moment of this.
    const upgrading = send('POST', 'plugins/tide/upgrade').catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, 30));
    kernel.process.kill('SIGKILL');
    await upgrading;
    await new Promise((resolve) => setTimeout(resolve, 200));
    kernel = await start();
    const { version, state } = await show('tide');
    expect(state).toBe('active');
    expect(['3.0.0', '3.1.0']).toContain(version);
    expect(await says('tide')).toBe(`tide ${version}`);
    expect(await send('POST', 'plugins/tide/rollback')).toMatchObject({ status: 200 });
  }, 60_000);
});
