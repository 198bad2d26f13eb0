import { mkdtemp, readFile, rename, rm, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newKey, packSample } from '../../../test/support/packages.js';
import { PackageStore } from '../store/package-store.js';
import { WatchedFolder } from './folder-source.js';

let root: string;
let folder: string;
let store: PackageStore;
let watched: WatchedFolder | undefined;
const key = newKey();

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-watch-'));
  folder = path.join(root, 'dropped');
  store = await PackageStore.open({ folder: path.join(root, 'store') });
});
afterEach(async () => {
  await watched?.close();
  store.close();
  await rm(root, { recursive: true });
});

const pack = async (id: string, version: string) =>
  (await packSample(await mkdtemp(path.join(root, 'p-')), { id, version }, key)).bytes;

/** Writes a file that looks as if it had been there for a while. */
async function settle(name: string, bytes: Buffer): Promise<string> {
  const file = path.join(folder, name);
  await writeFile(file, bytes);
  await utimes(file, new Date(0), new Date(0));
  return file;
}

const start = async (more: object = {}) => {
  watched = await WatchedFolder.start({ store, folder, ...more });
  return watched;
};

describe('a watched folder', () => {
  it('gives what is there, in any order', async () => {
    await start();
    await settle('b.tgz', await pack('sample', '1.0.0'));
    await settle('a.tgz', await pack('sample', '2.0.0'));
    await settle('readme.txt', Buffer.from('no package'));
    await settle('.hidden.tgz', Buffer.from('no package'));
    await watched!.scan();
    expect(store.catalogue.get('sample')!.versions.map(({ version }) => version)).toEqual(['2.0.0', '1.0.0']);
    expect(store.catalogue.version('sample', '1.0.0')).toMatchObject({
      origin: 'third-party',
      source: 'folder:dropped',
    });
    expect(watched!.problems()).toEqual([]);
  });

  it('takes what is dropped in, also when it comes bit by bit', async () => {
    const published = Promise.withResolvers<string>();
    const problems: string[] = [];
    await start({
      onPublished: ({ id }: { id: string }) => published.resolve(id),
      onProblem: ({ error }: { error: { code: string } }) => problems.push(error.code),
    });
    const bytes = await pack('sample', '1.0.0');
    const file = path.join(folder, 'sample.tgz');
    await writeFile(file, bytes.subarray(0, 500));
    await writeFile(file, bytes);
    expect(await published.promise).toBe('sample');
    expect(problems).toEqual([]);
  });

  it('says what is wrong with a file, until that is put right', async () => {
    await start();
    const file = await settle('sample.tgz', await pack('sample', '1.0.0'));
    const whole = await readFile(file);
    await truncate(file, 100);
    await utimes(file, new Date(1000), new Date(1000));
    await watched!.scan();
    expect(watched!.problems()).toMatchObject([{ file: 'sample.tgz', error: { code: 'PACKAGE_DAMAGED' } }]);
    await settle('new', whole);
    await rename(path.join(folder, 'new'), file);
    await watched!.scan();
    expect(watched!.problems()).toEqual([]);
    await settle('bad.tgz', Buffer.from('x'));
    await watched!.scan();
    expect(watched!.problems()).toHaveLength(1);
    await rm(path.join(folder, 'bad.tgz'));
    await watched!.scan();
    expect(watched!.problems()).toEqual([]);
  });

  it('does not take a file twice, nor forget what was taken when the file goes', async () => {
    const outcomes: string[] = [];
    await start({ onPublished: ({ outcome }: { outcome: string }) => outcomes.push(outcome) });
    const file = await settle('sample.tgz', await pack('sample', '1.0.0'));
    await watched!.scan();
    await watched!.scan();
    await rm(file);
    await watched!.scan();
    expect(outcomes).toEqual(['added']);
    expect(store.catalogue.get('sample')).toBeDefined();
  });

  it('refuses another publisher and what is far too large', async () => {
    await start();
    await settle('a.tgz', await pack('sample', '1.0.0'));
    await settle('b.tgz', (await packSample(root, { id: 'sample', version: '1.1.0' }, newKey())).bytes);
    await truncate(await settle('c.tgz', Buffer.alloc(1)), 100_000_000);
    await utimes(path.join(folder, 'c.tgz'), new Date(0), new Date(0));
    await watched!.scan();
    expect(watched!.problems().map(({ file, error }) => [file, error.code])).toEqual([
      ['b.tgz', 'PUBLISHER_MISMATCH'],
      ['c.tgz', 'PACKAGE_TOO_LARGE'],
    ]);
  });
});
