import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { atoll } from '../support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { writePlugin } from '../support/packages.js';

const MAIN = fileURLToPath(new URL('../../plugin-sdk/dist-host/cli/main.js', import.meta.url));
const root = mkdtempSync(path.join(tmpdir(), 'atoll-dev-remote-'));
const env = { PATH: process.env.PATH ?? '', HOME: root, ATOLL_DATA_DIR: path.join(root, 'nothing') };
const PATIENCE = { timeout: 30_000, interval: 200 };
let kernel: TestKernel;
let dir: string;
let child: ChildProcess | undefined;
let printed = '';

const code = (word: string) => `import { definePlugin } from '@atoll/plugin-sdk';
export default definePlugin(({ http, log }) => {
  http.get('/', () => { log.info({}, 'asked for ${word}'); return { word: '${word}' }; });
});`;
const save = (word: string) => writeFile(path.join(dir, 'src/index.ts'), code(word));
const word = async () => (await kernel.call('/x/parrot')).text();
const versions = async () => {
  const response = await kernel.call('/api/v1/marketplace/parrot');
  if (!response.ok) return [];
  return ((await response.json()) as { versions: { version: string }[] }).versions.map(({ version }) => version);
};
const start = (...flags: string[]) => {
  printed = '';
  const args = [MAIN, 'dev', dir, '--to', kernel.url, '--key', kernel.key, ...flags];
  child = spawn(process.execPath, args, { cwd: root, env });
  for (const stream of [child.stdout, child.stderr])
    stream?.on('data', (chunk: Buffer) => (printed += chunk.toString()));
};
const end = async () => {
  child?.kill('SIGINT');
  const [exit] = (await once(child!, 'close')) as [number];
  child = undefined;
  expect(exit, printed).toBe(0);
};

beforeAll(async () => {
  kernel = await startTestKernel({ env: { ATOLL_DATA_DIR: path.join(root, 'data') } });
  ({ dir } = await writePlugin(root, {
    id: 'parrot',
    atoll: { mounts: ['/x/parrot'], permissions: { storage: true } },
    files: { 'src/index.ts': code('hello') },
  }));
}, 60_000);

afterAll(async () => {
  child?.kill('SIGKILL');
  await kernel?.stop();
  rmSync(root, { recursive: true, force: true });
});

it('asks for consent before anything runs', async () => {
  start();
  const [exit] = (await once(child!, 'close')) as [number];
  expect(exit).toBe(1);
  expect(printed).toContain('permissions are asked for');
  expect(await versions()).toEqual([]);
});

it('brings each save to the server with its log, and takes the plugin away in the end', async () => {
  start('--yes');
  await vi.waitFor(async () => expect(await word(), printed).toBe('{"word":"hello"}'), PATIENCE);
  await save('again');
  await vi.waitFor(async () => expect(await word(), printed).toBe('{"word":"again"}'), PATIENCE);
  await vi.waitFor(() => expect(printed).toContain('asked for again'), PATIENCE);
  await writeFile(path.join(dir, 'src/index.ts'), 'this is no TypeScript');
  await vi.waitFor(() => expect(printed).toContain('keeps running as it was'), PATIENCE);
  expect(await word()).toBe('{"word":"again"}');
  await end();
  expect(printed).toContain('parrot is removed again');
  expect((await kernel.call('/api/v1/plugins/parrot')).status).toBe(404);
  expect(await versions()).toEqual([]);
});

it('puts the version that ran before back', async () => {
  await save('stable');
  const to = ['--server', kernel.url, '--key', kernel.key];
  expect(await atoll(root, ['publish', dir, ...to], env)).toMatchObject({ code: 0 });
  expect(await atoll(root, ['install', 'parrot', '--yes', ...to], env)).toMatchObject({ code: 0 });
  await save('draft');
  start('--yes');
  await vi.waitFor(async () => expect(await word(), printed).toBe('{"word":"draft"}'), PATIENCE);
  await end();
  expect(await word()).toBe('{"word":"stable"}');
  expect(await versions()).toEqual(['1.0.0']);
  expect(JSON.parse(await readFile(path.join(dir, 'package.json'), 'utf8'))).toMatchObject({ version: '1.0.0' });
});
