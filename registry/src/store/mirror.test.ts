import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newKey, packSample, tarballOf } from '../../../test/support/packages.js';
import type { SigningKey } from '../package/publisher-key.js';
import { exportMirror } from './mirror-export.js';
import { importMirror } from './mirror-import.js';
import { PackageStore, type StoreOptions } from './package-store.js';

let root: string;
let from: PackageStore;
let file: string;
const [ada, bob] = [newKey(), newKey()];

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-mirror-'));
  file = path.join(root, 'out/mirror.tar');
  from = await newStore();
  for (const [id, version, key] of [
    ['a', '1.0.0', ada],
    ['a', '1.1.0', ada],
    ['b', '2.0.0-rc.1', bob],
  ] as const) {
    await from.publish(await pack(id, version, key));
  }
});
afterEach(() => rm(root, { recursive: true }));

const newStore = async (options: Partial<StoreOptions> = {}) =>
  PackageStore.open({ folder: await mkdtemp(path.join(root, 'store-')), ...options });
const pack = async (id: string, version: string, key?: SigningKey) =>
  (await packSample(await mkdtemp(path.join(root, 'p-')), { id, version }, key)).bytes;
const codeOf = (task: Promise<unknown>): Promise<unknown> =>
  task.then(
    () => 'done',
    (error: { code: unknown }) => error.code ?? error,
  );
const all = (store: PackageStore) => store.catalogue.versions().map(({ id, version }) => `${id}@${version}`);

describe('a mirror bundle', () => {
  it('carries everything to a machine without network', async () => {
    await from.yank('a', '1.1.0', 'loses data');
    await from.deprecate('a', '1.0.0', 'old');
    expect(await exportMirror(from, { out: file })).toMatchObject({ file, packages: [{}, {}, {}] });
    const to = await newStore();
    const result = await importMirror(to, { file });
    expect(result).toEqual({
      added: [
        { id: 'a', version: '1.1.0' },
        { id: 'a', version: '1.0.0' },
        { id: 'b', version: '2.0.0-rc.1' },
      ],
      present: [],
      refused: [],
    });
    for (const { id, version } of result.added) {
      expect((await to.tarball(id, version)).equals(await from.tarball(id, version))).toBe(true);
    }
    expect(to.catalogue.version('a', '1.1.0')).toMatchObject({ yanked: { reason: 'loses data' }, source: 'mirror' });
    expect(to.catalogue.version('a', '1.0.0')).toMatchObject({ deprecated: { reason: 'old' } });
    expect(to.catalogue.get('b')!.channels).toEqual({ next: '2.0.0-rc.1' });
    expect(await importMirror(to, { file })).toMatchObject({ added: [], refused: [], present: [{}, {}, {}] });
  });

  it('is the same file for the same content', async () => {
    await exportMirror(from, { out: file });
    const first = await readFile(file);
    await exportMirror(from, { out: file });
    expect((await readFile(file)).equals(first)).toBe(true);
    expect(await readdir(path.dirname(file))).toEqual(['mirror.tar']);
  });

  it('carries what it is told to, and nothing that is quarantined', async () => {
    await exportMirror(from, { out: file, versions: [{ id: 'a', version: '1.0.0' }] });
    const to = await newStore();
    await importMirror(to, { file });
    expect(all(to)).toEqual(['a@1.0.0']);
    await from.revokeKey(bob.keyId, 'stolen');
    expect((await exportMirror(from, { out: file })).packages.map(({ id }) => id)).toEqual(['a', 'a']);
    expect(await codeOf(exportMirror(from, { out: file, versions: [{ id: 'b', version: '2.0.0-rc.1' }] }))).toBe(
      'PACKAGE_QUARANTINED',
    );
    expect(await codeOf(exportMirror(from, { out: file, versions: [{ id: 'b', version: '9.0.0' }] }))).toBe(
      'VERSION_NOT_FOUND',
    );
    expect(await readdir(path.dirname(file))).toEqual(['mirror.tar']);
  });

  it('brings no trust of its own, unless it is told that it may', async () => {
    await from.trustKey({ publicKey: ada.publicKey, publisher: 'Ada' });
    await exportMirror(from, { out: file });
    const to = await newStore({ signatures: 'required' });
    const { added, refused } = await importMirror(to, { file });
    expect(added).toEqual([]);
    expect(refused.map(({ code }) => code)).toEqual(['KEY_UNTRUSTED', 'KEY_UNTRUSTED', 'KEY_UNTRUSTED']);
    expect(to.keys()).toEqual([]);
    expect((await importMirror(to, { file, trustKeys: true })).added).toHaveLength(3);
    expect(to.catalogue.version('a', '1.0.0')).toMatchObject({ publisher: 'Ada', verified: true });
  });

  it('does not bring back a key that was revoked, nor slip one in under a known name', async () => {
    await from.trustKey({ publicKey: bob.publicKey, publisher: 'Ada' });
    await exportMirror(from, { out: file });
    const to = await newStore({ signatures: 'required' });
    await to.trustKey({ publicKey: ada.publicKey, publisher: 'Ada' });
    await to.revokeKey(ada.keyId, 'stolen');
    const { refused } = await importMirror(to, { file, trustKeys: true });
    expect(refused.map(({ id, code }) => [id, code])).toEqual([
      ['a', 'KEY_REVOKED'],
      ['a', 'KEY_REVOKED'],
    ]);
    expect(to.catalogue.version('b', '2.0.0-rc.1')!.publisher).toBe(bob.keyId);
  });

  it('leaves out what belongs to another publisher here', async () => {
    await exportMirror(from, { out: file });
    const to = await newStore();
    await to.publish(await pack('a', '1.0.0', newKey()));
    expect(await importMirror(to, { file })).toMatchObject({
      added: [{ id: 'b' }],
      refused: [{ code: 'PUBLISHER_MISMATCH' }, { code: 'PUBLISHER_MISMATCH' }],
    });
  });
});

describe('a bundle that is not whole', () => {
  it('adds nothing, wherever it is cut', async () => {
    await exportMirror(from, { out: file });
    const whole = await readFile(file);
    const to = await newStore();
    const cuts = Array.from({ length: 60 }, (_, at) => Math.floor((whole.length - 1024) * (at / 60)));
    for (const cut of cuts) {
      await writeFile(file, whole.subarray(0, cut));
      expect(await codeOf(importMirror(to, { file }))).toBe('PACKAGE_DAMAGED');
    }
    expect(all(to)).toEqual([]);
  });

  it('adds nothing when a package in it was altered', async () => {
    await exportMirror(from, { out: file });
    const bytes = await readFile(file);
    bytes[bytes.length - 2000] = bytes[bytes.length - 2000]! ^ 1;
    await writeFile(file, bytes);
    const to = await newStore();
    expect(await codeOf(importMirror(to, { file }))).toBe('PACKAGE_ALTERED');
    expect(all(to)).toEqual([]);
  });

  it.each<[string, () => Buffer]>([
    ['nothing of ours', () => gunzipSync(tarballOf([{ path: 'a', content: 'x' }]))],
    ['a list of another form', () => gunzipSync(tarballOf([{ path: 'mirror.json', content: '{"format":2}' }]))],
    ['a link', () => gunzipSync(tarballOf([{ path: 'mirror.json', type: 'SymbolicLink', linkpath: '/etc/passwd' }]))],
    [
      'its list twice',
      () =>
        gunzipSync(
          tarballOf([
            { path: 'mirror.json', content: '{}' },
            { path: 'mirror.json', content: '{}' },
          ]),
        ),
    ],
  ])('is refused with %s', async (_, make) => {
    file = path.join(root, 'bad.tar');
    await writeFile(file, make());
    expect(await codeOf(importMirror(await newStore(), { file }))).toBe('PACKAGE_INVALID');
  });

  it('is refused when it is not there', async () => {
    expect(await codeOf(importMirror(from, { file: path.join(root, 'absent') }))).toBe('PACKAGE_DAMAGED');
  });
});
