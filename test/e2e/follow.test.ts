import { mkdtempSync, rmSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { atoll } from '../support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { newKey, packSample } from '../support/packages.js';

interface Info {
  version: string;
  follows?: string;
  pendingUpgrade?: { version: string; code: string; asks: object[] };
}

const root = mkdtempSync(path.join(tmpdir(), 'atoll-follow-'));
const key = newKey();
let kernel: TestKernel;

const start = () => startTestKernel({ env: { ATOLL_DATA_DIR: path.join(root, 'data') } });

beforeAll(async () => {
  kernel = await start();
  await publish('1.0.0');
  expect((await send('POST', 'marketplace/tide/install', { consent: true })).status).toBe(200);
}, 60_000);
afterAll(async () => {
  await kernel?.stop();
  rmSync(root, { recursive: true, force: true });
});

async function pack(version: string, { permissions = {}, code = `http.get('/', () => version);` } = {}) {
  const { bytes } = await packSample(
    root,
    {
      id: 'tide',
      version,
      atoll: { mounts: ['/x/tide'], permissions },
      files: {
        'src/index.ts': `import { definePlugin } from '@atoll/plugin-sdk';
const version = ${JSON.stringify(version)};
export default definePlugin(({ http }) => {${code}});`,
      },
    },
    key,
  );
  return bytes;
}

async function publish(version: string, more: Parameters<typeof pack>[1] = {}) {
  const bytes = await pack(version, more);
  const response = await kernel.call('/api/v1/marketplace/publish', { method: 'POST', body: new Uint8Array(bytes) });
  expect(response.status).toBe(201);
}
const send = async <T = Record<string, unknown>>(method: string, target: string, body: object = {}) => {
  const response = await kernel.call(`/api/v1/${target}`, {
    method,
    ...(method !== 'GET' && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
  return { status: response.status, body: (await response.json()) as T };
};
const show = async () => (await send<Info>('GET', 'plugins/tide')).body;
const becomes = (info: object) => expect.poll(show, { timeout: 10_000 }).toMatchObject(info);

it('swaps in what appears in a followed channel, and nothing before that', async () => {
  await publish('1.1.0');
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await show()).version).toBe('1.0.0');
  // What is there already is taken at once.
  expect((await send('PUT', 'plugins/tide/follow', { channel: 'latest' })).body).toMatchObject({
    version: '1.1.0',
    follows: 'latest',
  });
  await publish('1.2.0-beta.1');
  await publish('1.2.0');
  await becomes({ version: '1.2.0' });
  expect(await (await kernel.call('/x/tide')).json()).toBe('1.2.0');
  expect((await send('PUT', 'plugins/tide/follow', { channel: 'middle' })).status).toBe(422);
  expect((await send('PUT', 'plugins/hello/follow', { channel: 'latest' })).status).toBe(404);
});

it('follows the other channel from the command line, and a package that another process puts into the store', async () => {
  const run = (...args: string[]) => atoll(root, [...args, '--server', kernel.url, '--key', kernel.key]);
  expect((await run('plugins', 'follow', 'tide', 'next')).stdout).toBe('tide@1.2.0 follows next.\n');
  const file = path.join(root, 'dropped.tgz');
  await writeFile(file, await pack('1.3.0-rc.1'));
  const added = await atoll(root, ['registry', 'publish', file, '--store', path.join(root, 'data/registry')]);
  expect(added.stderr).toBe('');
  await becomes({ version: '1.3.0-rc.1' });
}, 30_000);

it('waits with what asks for more, and with what does not start, and shows why', async () => {
  await publish('1.4.0', { permissions: { storage: true } });
  await becomes({
    version: '1.3.0-rc.1',
    pendingUpgrade: { version: '1.4.0', code: 'CONSENT_NEEDED', asks: [{ kind: 'storage' }] },
  });
  await send('POST', 'plugins/tide/upgrade', { version: '1.4.0', consent: true });
  await becomes({ version: '1.4.0' });
  await expect.poll(async () => (await show()).pendingUpgrade).toBeUndefined();
  await publish('1.5.0', { permissions: { storage: true }, code: `throw new Error('no');` });
  await becomes({ version: '1.4.0', pendingUpgrade: { version: '1.5.0', code: 'PLUGIN_START_FAILED' } });
  await publish('1.6.0', { permissions: { storage: true } });
  await becomes({ version: '1.6.0' });
});

it('does not go back to what was rolled back from, and still follows after a restart', async () => {
  expect((await send('POST', 'plugins/tide/rollback')).status).toBe(200);
  expect((await show()).version).toBe('1.4.0');
  expect(await kernel.stop()).toBe(0);
  kernel = await start();
  await becomes({ version: '1.4.0', follows: 'next' });
  await publish('1.7.0', { permissions: { storage: true } });
  await becomes({ version: '1.7.0' });
  expect((await send('PUT', 'plugins/tide/follow', { channel: null })).body).not.toHaveProperty('follows');
  await publish('1.8.0', { permissions: { storage: true } });
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect((await show()).version).toBe('1.7.0');
  const { items } = (await send<{ items: { action: string }[] }>('GET', 'audit?limit=200')).body;
  expect(items.map(({ action }) => action)).toContain('plugins.follow.upgrade');
}, 60_000);
