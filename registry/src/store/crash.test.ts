import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { newKey, packSample } from '../../../test/support/packages.js';
import { PackageStore } from './package-store.js';

const CHILD = fileURLToPath(new URL('../../../test/support/store-crash-child.ts', import.meta.url));
const TIMEOUT_MS = 300_000;
/** A process for each step takes a while: every third one, or each with CHAOS_STEPS=all. */
const STRIDE = process.env.CHAOS_STEPS === 'all' ? 1 : 3;

let root: string;
let base: string;
let tarball: string;
let bytes: Buffer;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-crash-'));
  const key = newKey();
  base = path.join(root, 'base');
  const store = await PackageStore.open({ folder: base });
  await store.publish((await packSample(root, { id: 'sample' }, key)).bytes);
  bytes = (await packSample(root, { id: 'sample', version: '2.0.0' }, key)).bytes;
  tarball = path.join(root, 'v2.tgz');
  await writeFile(tarball, bytes);
});
afterAll(() => rm(root, { recursive: true }));

async function run(folder: string, operation: string, step: number) {
  const child = spawn(process.execPath, [CHILD, folder, operation, String(step), tarball]);
  const printed = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (printed.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()));
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`The child failed: ${printed.stderr}`);
  return { killed: signal === 'SIGKILL', steps: Number(printed.stdout) };
}

/** The store after kills at steps of the operation, opened again. */
async function* afterKills(operation: string): AsyncGenerator<{ store: PackageStore; folder: string; step: number }> {
  const copy = async (name: string) => {
    const folder = path.join(root, `${operation}-${name}`);
    await cp(base, folder, { recursive: true });
    return folder;
  };
  const { steps } = await run(await copy('whole'), operation, 0);
  expect(steps).toBeGreaterThan(5);
  for (let step = 1; step <= steps; step += STRIDE) {
    const folder = await copy(String(step));
    const { killed } = await run(folder, operation, step);
    expect(killed).toBe(true);
    const store = await PackageStore.open({ folder });
    expect(store.report).toEqual({ damagedCopies: [], rebuilt: false, problems: [] });
    expect(await readdir(path.join(folder, 'drafts'))).toEqual([]);
    expect(await store.check()).toEqual({ damaged: [], orphans: [] });
    yield { store, folder, step };
    await rm(folder, { recursive: true });
  }
}

const versionsOf = (store: PackageStore) => store.catalogue.get('sample')?.versions.map(({ version }) => version) ?? [];

it(
  'a kill while publishing leaves the version in or out, and it can be published again',
  async () => {
    const seen = new Set<string>();
    for await (const { store } of afterKills('publish')) {
      const versions = versionsOf(store);
      expect([['1.0.0'], ['2.0.0', '1.0.0']]).toContainEqual(versions);
      for (const version of versions) expect((await store.read('sample', version)).manifest.version).toBe(version);
      seen.add(versions.join());
      const { outcome } = await store.publish(bytes);
      expect(outcome).toBe(versions.includes('2.0.0') ? 'present' : 'added');
      expect(versionsOf(store)).toEqual(['2.0.0', '1.0.0']);
    }
    expect(seen.size).toBe(2);
  },
  TIMEOUT_MS,
);

it(
  'a kill while yanking leaves the version yanked or not',
  async () => {
    const seen = new Set<boolean>();
    for await (const { store } of afterKills('yank')) {
      expect(versionsOf(store)).toEqual(['1.0.0']);
      seen.add(store.catalogue.version('sample', '1.0.0')!.yanked !== undefined);
    }
    expect(seen.size).toBe(2);
  },
  TIMEOUT_MS,
);

it(
  'a kill while removing leaves the version whole or gone',
  async () => {
    const seen = new Set<number>();
    for await (const { store } of afterKills('remove')) {
      const versions = versionsOf(store);
      for (const version of versions) await store.read('sample', version);
      seen.add(versions.length);
    }
    expect([...seen].sort()).toEqual([0, 1]);
  },
  TIMEOUT_MS,
);

it(
  'a kill while unpacking leaves nothing that is not whole',
  async () => {
    for await (const { store } of afterKills('unpack')) {
      const { dir } = await store.unpack('sample', '1.0.0');
      expect((await readdir(dir)).sort()).toEqual(
        [...new Set([...(await store.read('sample', '1.0.0')).files.keys()].map((file) => file.split('/')[0]))].sort(),
      );
    }
  },
  TIMEOUT_MS,
);
