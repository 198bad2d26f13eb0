import { chmod, cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { entriesOf, newKey, packSample, tarballOf } from '../../../test/support/packages.js';
import { bundlePlugin } from '../bundle.js';
import { readPluginFolder } from '../folder.js';
import { hexOf } from '../package/integrity.js';
import type { PackedPlugin } from '../package/pack.js';
import type { SigningKey } from '../package/publisher-key.js';
import type { StoreEvent } from './events.js';
import { PackageStore, type StoreOptions } from './package-store.js';

let root: string;
let folder: string;
const opened: PackageStore[] = [];
const [ada, bob] = [newKey(), newKey()];
let v1: PackedPlugin;
let v2: PackedPlugin;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-store-'));
  v1 = await packSample(root, { id: 'sample' }, ada);
  v2 = await packSample(root, { id: 'sample', version: '2.0.0' }, ada);
});
afterAll(() => rm(root, { recursive: true }));
beforeEach(async () => {
  folder = await mkdtemp(path.join(root, 'store-'));
});
afterEach(() => {
  for (const store of opened.splice(0)) store.close();
});

async function open(options: Partial<StoreOptions> = {}): Promise<PackageStore> {
  const store = await PackageStore.open({ folder, ...options });
  opened.push(store);
  return store;
}

const codeOf = (task: Promise<unknown>): Promise<unknown> =>
  task.then(
    () => 'done',
    (error: { code: unknown }) => error.code ?? error,
  );
const pack = async (id: string, version = '1.0.0', key?: SigningKey, more: object = {}) =>
  (await packSample(await mkdtemp(path.join(root, 'p-')), { id, version, ...more }, key)).bytes;
const versionsOf = (store: PackageStore, id = 'sample') =>
  store.catalogue.get(id)?.versions.map(({ version }) => version);

describe('publishing', () => {
  it('keeps versions side by side, also for those who open the store later', async () => {
    const store = await open();
    expect(await store.publish(v1.bytes)).toEqual({ outcome: 'added', id: 'sample', version: '1.0.0' });
    await store.publish(v2.bytes);
    expect(versionsOf(store)).toEqual(['2.0.0', '1.0.0']);
    const again = await open();
    expect(again.report).toEqual({ damagedCopies: [], rebuilt: false, problems: [] });
    expect(versionsOf(again)).toEqual(['2.0.0', '1.0.0']);
    expect((await again.tarball('sample', '1.0.0')).equals(v1.bytes)).toBe(true);
    expect((await again.read('sample', '2.0.0')).manifest.version).toBe('2.0.0');
  });

  it('gives a folder that can be started, also after somebody changed it', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    const { dir } = await store.unpack('sample', '1.0.0');
    const { code } = await bundlePlugin(await readPluginFolder(dir));
    expect(code).toBe((await store.read('sample', '1.0.0')).code);
    await chmod(path.join(dir, 'dist/plugin.js'), 0o644);
    await writeFile(path.join(dir, 'dist/plugin.js'), 'steal()');
    expect(await codeOf(bundlePlugin(await readPluginFolder(dir)))).toBe('PACKAGE_ALTERED');
    await store.unpack('sample', '1.0.0');
    expect((await bundlePlugin(await readPluginFolder(dir))).code).toBe(code);
    await rm(path.join(dir, 'atoll.dsse.json'));
    expect(await codeOf(bundlePlugin(await readPluginFolder(dir)))).toBe('PACKAGE_DAMAGED');
  });

  it('accepts the same bytes again, and no others for the same version', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    expect(await store.publish(v1.bytes)).toMatchObject({ outcome: 'present' });
    expect(await codeOf(store.publish(tarballOf(entriesOf(v1.bytes))))).toBe('VERSION_EXISTS');
    await store.remove('sample', '1.0.0');
    expect(versionsOf(store)).toBeUndefined();
    expect(await codeOf(store.publish(tarballOf(entriesOf(v1.bytes))))).toBe('VERSION_EXISTS');
    expect(await store.publish(v1.bytes)).toMatchObject({ outcome: 'added' });
  });

  it('refuses what is older than the newest of its channel, unless that is meant', async () => {
    const store = await open();
    await store.publish(v2.bytes);
    await store.publish(await pack('sample', '3.0.0-rc.1', ada));
    expect(await codeOf(store.publish(v1.bytes))).toBe('PACKAGE_DOWNGRADE');
    expect(await codeOf(store.publish(v1.bytes, { backport: true }))).toBe('done');
    expect(await codeOf(store.publish(await pack('sample', '2.1.0', ada)))).toBe('done');
  });

  it('refuses other names for an id, and other ids for a name', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    expect(await codeOf(store.publish(await pack('sample', '1.1.0', ada, { name: 'other' })))).toBe('PACKAGE_RENAMED');
    expect(await codeOf(store.publish(await pack('other', '1.1.0', ada, { name: 'atoll-plugin-sample' })))).toBe(
      'PACKAGE_RENAMED',
    );
  });

  it('refuses what is not the package that was said', async () => {
    const store = await open();
    expect(await codeOf(store.publish(v1.bytes, { expected: { version: '2.0.0' } }))).toBe('PACKAGE_MISMATCH');
    expect(await codeOf(store.publish(v1.bytes, { expected: { integrity: v2.integrity } }))).toBe('PACKAGE_ALTERED');
    expect(await codeOf(store.publish(v1.bytes.subarray(1)))).toBe('PACKAGE_DAMAGED');
    expect(await readdir(path.join(folder, 'drafts'))).toEqual([]);
    expect(store.catalogue.list()).toEqual([]);
  });

  it('has names that mean something to JavaScript', async () => {
    const store = await open();
    await store.publish(await pack('constructor', '1.0.0', ada));
    expect(versionsOf(store, 'constructor')).toEqual(['1.0.0']);
    expect(await codeOf(store.tarball('toString', '1.0.0'))).toBe('VERSION_NOT_FOUND');
    expect(await codeOf(store.yank('constructor', 'toString', 'x'))).toBe('VERSION_NOT_FOUND');
  });
});

describe('channels and marks', () => {
  it('lead to the newest version that may be chosen', async () => {
    const store = await open();
    for (const version of ['1.0.0', '1.1.0', '2.0.0-rc.1']) await store.publish(await pack('sample', version, ada));
    expect(store.catalogue.get('sample')!.channels).toEqual({ latest: '1.1.0', next: '2.0.0-rc.1' });
    await store.yank('sample', '1.1.0', 'It loses data.');
    expect(store.catalogue.get('sample')!.channels.latest).toBe('1.0.0');
    expect((await store.read('sample', '1.1.0')).manifest.version).toBe('1.1.0');
    await store.unyank('sample', '1.1.0');
    await store.setChannel('sample', '2.0.0-rc.1', 'latest');
    expect(store.catalogue.get('sample')!.channels).toEqual({ latest: '2.0.0-rc.1', next: '2.0.0-rc.1' });
  });

  it('last', async () => {
    const store = await open({ now: () => new Date(0) });
    await store.publish(v1.bytes);
    await store.yank('sample', '1.0.0', 'bad');
    await store.deprecate('sample', '1.0.0', 'use the other');
    const at = '1970-01-01T00:00:00.000Z';
    const marks = { yanked: { at, reason: 'bad' }, deprecated: { at, reason: 'use the other' } };
    expect((await open()).catalogue.version('sample', '1.0.0')).toMatchObject(marks);
    await store.deprecate('sample', '1.0.0', undefined);
    expect(store.catalogue.version('sample', '1.0.0')).not.toHaveProperty('deprecated');
  });
});

describe('trust', () => {
  it('binds an id to the key that was first', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    expect(store.keys()).toMatchObject([{ keyId: ada.keyId, trust: 'first-use', publisher: ada.keyId }]);
    expect(await codeOf(store.publish(await pack('sample', '1.1.0', bob)))).toBe('PUBLISHER_MISMATCH');
    expect(await codeOf(store.publish(await pack('sample', '1.1.0')))).toBe('SIGNATURE_MISSING');
    expect(await codeOf(store.publish(await pack('sample', '1.1.0'), { origin: 'local' }))).toBe('SIGNATURE_MISSING');
  });

  it('keeps unsigned publishers apart by where they come from', async () => {
    const store = await open();
    await store.publish(await pack('one'), { source: 'a' });
    expect(await codeOf(store.publish(await pack('one', '1.1.0'), { source: 'b' }))).toMatch(
      /SIGNATURE_MISSING|PUBLISHER_MISMATCH/,
    );
    await store.publish(await pack('own'), { origin: 'local' });
    expect(await codeOf(store.publish(await pack('own', '1.1.0', bob)))).toBe('PUBLISHER_MISMATCH');
    await store.publish(await pack('own', '1.1.0', ada), { origin: 'local' });
    expect(await codeOf(store.publish(await pack('own', '1.2.0'), { origin: 'local' }))).toBe('SIGNATURE_MISSING');
  });

  it('in production takes from others only what a trusted key has signed', async () => {
    const store = await open({ signatures: 'required' });
    expect(await codeOf(store.publish(await pack('unsigned')))).toBe('SIGNATURE_MISSING');
    expect(await codeOf(store.publish(v1.bytes))).toBe('KEY_UNTRUSTED');
    expect(await codeOf(store.publish(await pack('own'), { origin: 'local' }))).toBe('done');
    await store.trustKey({ publicKey: ada.publicKey, publisher: 'Ada' });
    expect(await codeOf(store.publish(v1.bytes))).toBe('done');
    expect(store.catalogue.version('sample', '1.0.0')).toMatchObject({ verified: true, publisher: 'Ada' });
  });

  it('does not count trust on first use of a local package for packages of others', async () => {
    const store = await open({ signatures: 'required' });
    await store.publish(v1.bytes, { origin: 'local' });
    expect(await codeOf(store.publish(v2.bytes))).toBe('KEY_UNTRUSTED');
  });

  it('quarantines what came in before signatures were required', async () => {
    await (await open()).publish(v1.bytes);
    const strict = await open({ signatures: 'required' });
    expect(await codeOf(strict.read('sample', '1.0.0'))).toBe('PACKAGE_QUARANTINED');
    expect(strict.catalogue.get('sample')!.channels).toEqual({});
    await strict.trustKey({ publicKey: ada.publicKey });
    expect(await codeOf(strict.read('sample', '1.0.0'))).toBe('done');
  });

  it('lets a publisher go on with a new key', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    await store.trustKey({ publicKey: ada.publicKey, publisher: 'Ada' });
    await store.trustKey({ publicKey: bob.publicKey, publisher: 'Ada' });
    expect(await codeOf(store.publish(await pack('sample', '1.1.0', bob)))).toBe('done');
  });

  it.each(['unsigned:local', 'ed25519:0', '', ' x', 'a\nb', 'x'.repeat(200)])(
    'does not call a publisher %j',
    async (publisher) => {
      const store = await open();
      expect(await codeOf(store.trustKey({ publicKey: ada.publicKey, publisher }))).toBe('BAD_REQUEST');
      expect(store.keys()).toEqual([]);
    },
  );

  it('gives out nothing that another process has quarantined', async () => {
    const [store, other] = [await open(), await open()];
    await store.publish(v1.bytes);
    await other.refresh();
    await other.revokeKey(ada.keyId, 'stolen');
    expect(await codeOf(store.tarball('sample', '1.0.0'))).toBe('PACKAGE_QUARANTINED');
  });

  it('quarantines everything that a revoked key has signed', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    await store.publish(await pack('other', '1.0.0', bob));
    expect(await store.revokeKey(ada.keyId, 'stolen')).toMatchObject([{ id: 'sample', version: '1.0.0' }]);
    expect(await codeOf(store.read('sample', '1.0.0'))).toBe('PACKAGE_QUARANTINED');
    expect(await codeOf(store.publish(v2.bytes))).toBe('KEY_REVOKED');
    expect(await codeOf(store.publish(v2.bytes, { origin: 'local' }))).toBe('KEY_REVOKED');
    expect(await codeOf(store.trustKey({ publicKey: ada.publicKey }))).toBe('KEY_REVOKED');
    expect(await codeOf(store.read('other', '1.0.0'))).toBe('done');
    expect(await codeOf((await open()).read('sample', '1.0.0'))).toBe('PACKAGE_QUARANTINED');
    await store.trustKey({ publicKey: ada.publicKey, restore: true });
    expect(await codeOf(store.read('sample', '1.0.0'))).toBe('done');
    expect(await codeOf(store.revokeKey('ed25519:unknown', 'x'))).toBe('KEY_NOT_FOUND');
  });
});

describe('a damaged store', () => {
  const copies = ['index.json', 'index.copy.json'];

  it('opens as it was, wherever one copy of the index is cut or altered', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    await store.yank('sample', '1.0.0', 'bad');
    const whole = await readFile(path.join(folder, 'index.json'));
    const before = JSON.stringify(store.catalogue.version('sample', '1.0.0'));
    for (const copy of copies) {
      for (let at = 0; at < whole.length; at += 7) {
        const altered = Buffer.from(whole);
        altered[at] = altered[at]! ^ 1;
        for (const bytes of [whole.subarray(0, at), altered]) {
          await writeFile(path.join(folder, copy), bytes);
          const again = await PackageStore.open({ folder });
          expect(again.report).toEqual({ damagedCopies: [copy], rebuilt: false, problems: [] });
          expect(JSON.stringify(again.catalogue.version('sample', '1.0.0'))).toBe(before);
        }
      }
    }
  });

  it('is rebuilt from its packages when both copies are gone, and trusts nobody then', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    await store.publish(v2.bytes);
    await store.publish(await pack('own'), { origin: 'local' });
    await store.revokeKey(ada.keyId, 'stolen');
    for (const damage of ['x', '']) {
      for (const copy of copies) await writeFile(path.join(folder, copy), damage);
      const again = await open();
      expect(again.report).toMatchObject({ rebuilt: true, problems: [] });
      expect(versionsOf(again)).toEqual(['2.0.0', '1.0.0']);
      expect(await codeOf(again.read('sample', '1.0.0'))).toBe('PACKAGE_QUARANTINED');
      expect(await codeOf(again.read('own', '1.0.0'))).toBe('done');
      expect(await codeOf(again.publish(await pack('own', '1.1.0'), { origin: 'local' }))).toMatch(
        /done|VERSION_EXISTS/,
      );
    }
    for (const copy of copies) await rm(path.join(folder, copy));
    const last = await open();
    expect(last.report.rebuilt).toBe(true);
    await last.trustKey({ publicKey: ada.publicKey });
    expect(await codeOf(last.read('sample', '2.0.0'))).toBe('done');
  });

  it('knows a package that is cut off, altered or missing, and heals by getting it again', async () => {
    const hex = hexOf(v1.integrity);
    const blob = () => path.join(folder, 'blobs', hex.slice(0, 2), `${hex}.tgz`);
    const damages = [
      () => truncate(blob(), 10),
      () => rm(blob()),
      async () => {
        const bytes = await readFile(blob());
        bytes[100] = bytes[100]! ^ 1;
        await writeFile(blob(), bytes);
      },
    ];
    const store = await open();
    for (const damage of damages) {
      await store.publish(v1.bytes);
      await damage();
      const { damaged } = await store.check({ repair: true });
      expect(damaged).toEqual([{ id: 'sample', version: '1.0.0', integrity: v1.integrity }]);
      expect(store.catalogue.version('sample', '1.0.0')).toMatchObject({ damaged: true });
      expect(store.catalogue.get('sample')!.channels).toEqual({});
      expect(await codeOf(store.read('sample', '1.0.0'))).toBe('PACKAGE_DAMAGED');
      expect(await store.publish(v1.bytes)).toMatchObject({ outcome: 'present' });
      expect(await codeOf(store.read('sample', '1.0.0'))).toBe('done');
      expect((await store.check()).damaged).toEqual([]);
    }
  });

  it('does without its cache of facts', async () => {
    await (await open()).publish(v1.bytes);
    for (const file of await readdir(path.join(folder, 'facts')))
      await writeFile(path.join(folder, 'facts', file), '{"format":1}');
    expect((await open()).catalogue.version('sample', '1.0.0')!.facts!.manifest.id).toBe('sample');
  });

  it('refuses changes when both copies of the index are damaged under it, and is repaired by opening it', async () => {
    const store = await open();
    await store.publish(await pack('own'), { origin: 'local' });
    for (const copy of copies) await writeFile(path.join(folder, copy), 'x');
    expect(await codeOf(store.yank('own', '1.0.0', 'bad'))).toBe('STORE_DAMAGED');
    await open();
    expect(await codeOf(store.yank('own', '1.0.0', 'bad'))).toBe('done');
  });

  it('says that its lock can’t be used', async () => {
    await writeFile(path.join(folder, 'lock'), 'this is no database, and it is long enough to be looked at'.repeat(20));
    expect(await codeOf(PackageStore.open({ folder }))).toBe('STORE_UNWRITABLE');
  });

  it('finds and removes what belongs to nothing', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    const other = await mkdtemp(path.join(root, 'other-'));
    await (await PackageStore.open({ folder: other })).publish(v2.bytes);
    await cp(path.join(other, 'blobs'), path.join(folder, 'blobs'), { recursive: true });
    expect(await store.check()).toEqual({ damaged: [], orphans: [v2.integrity] });
    await store.check({ repair: true });
    expect(await store.check()).toEqual({ damaged: [], orphans: [] });
  });

  it('says when it can’t be written', async () => {
    const blocked = path.join(root, 'a-file');
    await writeFile(blocked, '');
    expect(await codeOf(PackageStore.open({ folder: blocked }))).toBe('STORE_UNWRITABLE');
    expect(await codeOf(PackageStore.open({ folder: path.join(blocked, 'store') }))).toBe('STORE_UNWRITABLE');
    const store = await open();
    await rm(path.join(folder, 'blobs'), { recursive: true, force: true });
    await writeFile(path.join(folder, 'blobs'), '');
    expect(await codeOf(store.publish(v1.bytes))).toBe('STORE_UNWRITABLE');
    expect(store.catalogue.list()).toEqual([]);
    await rm(path.join(folder, 'blobs'));
    expect(await codeOf(store.publish(v1.bytes))).toBe('done');
  });
});

describe('several users of one folder', () => {
  it('lose nothing of each other', async () => {
    const stores = await Promise.all([open(), open(), open()]);
    const packages = await Promise.all(Array.from({ length: 12 }, (_, at) => pack(`plugin-${at}`, '1.0.0', ada)));
    await Promise.all(packages.map((bytes, at) => stores[at % 3]!.publish(bytes)));
    for (const store of stores) {
      await store.refresh();
      expect(store.catalogue.list()).toHaveLength(12);
    }
  });

  it('wait for each other, and say so when that takes too long', async () => {
    const store = await open({ lockWaitMs: 100 });
    const other = new DatabaseSync(path.join(folder, 'lock'));
    other.exec('BEGIN EXCLUSIVE');
    expect(await codeOf(store.publish(v1.bytes))).toBe('STORE_BUSY');
    const patient = open({ lockWaitMs: 30_000 });
    other.close();
    expect((await patient).catalogue.list()).toEqual([]);
    expect(await codeOf(store.publish(v1.bytes))).toBe('done');
  });

  it('tell each other', async () => {
    const [one, two] = [await open(), await open()];
    const seen: StoreEvent[] = [];
    const arrived = Promise.withResolvers<void>();
    two.subscribe((event) => {
      seen.push(event);
      if (event.type === 'channel' && event.channel === 'next') arrived.resolve();
    });
    await one.publish(v1.bytes);
    await arrived.promise;
    expect(seen).toEqual([
      { type: 'published', id: 'sample', version: '1.0.0' },
      { type: 'channel', id: 'sample', channel: 'latest', version: '1.0.0' },
      { type: 'channel', id: 'sample', channel: 'next', version: '1.0.0' },
    ]);
  });

  it('are told of quarantine by who revokes', async () => {
    const store = await open();
    await store.publish(v1.bytes);
    const seen: string[] = [];
    store.subscribe(({ type }) => seen.push(type));
    await store.revokeKey(ada.keyId, 'stolen');
    expect(seen).toEqual(['quarantined', 'channel', 'channel']);
  });
});
