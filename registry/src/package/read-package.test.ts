import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entriesOf, newKey, packSample, type TarEntry, tarballOf } from '../../../test/support/packages.js';
import { ENVELOPE_FILE, sealStatement } from './envelope.js';
import { integrityOf } from './integrity.js';
import { PACKAGE_LIMITS } from './limits.js';
import type { PackedPlugin } from './pack.js';
import type { SigningKey } from './publisher-key.js';
import { type ReadOptions, readPackage } from './read-package.js';

let root: string;
let key: SigningKey;
let packed: PackedPlugin;
let unsigned: PackedPlugin;

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-read-'));
  key = newKey();
  packed = await packSample(root, { id: 'sample' }, key);
  unsigned = await packSample(root, { id: 'sample' });
});
afterAll(() => rm(root, { recursive: true }));

const codeOf = (tarball: Uint8Array, options?: ReadOptions): Promise<unknown> =>
  readPackage(tarball, options).then(
    () => 'read',
    (error: { name: string; code: unknown }) => (error.name === 'AtollError' ? error.code : error),
  );

/** The package's entries, changed; with `seal`, stated and signed anew. */
function changed(
  change: (entries: TarEntry[]) => TarEntry[],
  seal?: { key?: SigningKey; name?: string; version?: string },
): Buffer {
  const entries = change(entriesOf(packed.bytes));
  if (!seal) return tarballOf(entries);
  const files = entries.filter(({ path }) => path !== `package/${ENVELOPE_FILE}`);
  const hashes = files.map(({ path, content }) => [path.slice('package/'.length), integrityOf(Buffer.from(content!))]);
  const { name = packed.name, version = packed.version } = seal;
  const statement = { id: 'sample', name, version, files: Object.fromEntries(hashes) as Record<string, string> };
  return tarballOf([...files, { path: `package/${ENVELOPE_FILE}`, content: sealStatement(statement, seal.key) }]);
}

const replaced = (file: string, content: string) => (entries: TarEntry[]) =>
  entries.map((entry) => (entry.path === `package/${file}` ? { ...entry, content } : entry));
const plus =
  (...more: TarEntry[]) =>
  (entries: TarEntry[]) => [...entries, ...more];
const packageJsonWith = (members: object) => (entries: TarEntry[]) => {
  const own = entries.find(({ path }) => path === 'package/package.json')!;
  return replaced('package.json', JSON.stringify({ ...JSON.parse(String(own.content)), ...members }))(entries);
};

describe('a good package', () => {
  it('says who signed it', async () => {
    const read = await readPackage(packed.bytes, { expected: { id: 'sample', integrity: packed.integrity } });
    expect(read).toMatchObject({ signer: { keyId: key.keyId, publicKey: key.publicKey }, integrity: packed.integrity });
  });

  it('may be unsigned, which shows', async () => {
    expect(await readPackage(unsigned.bytes)).not.toHaveProperty('signer');
  });

  it('may be compressed by another program: the same content is the same package', async () => {
    expect(await codeOf(tarballOf(entriesOf(packed.bytes)))).toBe('read');
  });
});

describe('a cut off package', () => {
  it('is refused wherever the cut is', async () => {
    const cuts = [
      0,
      1,
      9,
      10,
      11,
      100,
      ...Array.from({ length: 40 }, (_, at) => Math.floor((packed.bytes.length * at) / 40)),
    ];
    for (const cut of new Set([...cuts, packed.bytes.length - 1])) {
      expect(await codeOf(packed.bytes.subarray(0, cut))).toBe('PACKAGE_DAMAGED');
    }
  });

  it('is refused when the archive inside was cut', async () => {
    const archive = gunzipSync(packed.bytes);
    for (let cut = 0; cut < archive.length - 1024; cut += 256) {
      expect(['PACKAGE_DAMAGED', 'PACKAGE_ALTERED', 'PACKAGE_INVALID']).toContain(
        await codeOf(gzipSync(archive.subarray(0, cut), { level: 1 })),
      );
    }
  });
});

describe('an altered package', () => {
  it.each<[string, () => Buffer]>([
    ['another content', () => changed(replaced('dist/plugin.js', 'steal()'))],
    ['another readme', () => changed(replaced('README.md', 'Trust me.'))],
    ['a further file', () => changed(plus({ path: 'package/more.txt', content: 'x' }))],
    ['a file less', () => changed((entries) => entries.filter(({ path }) => path !== 'package/README.md'))],
    [
      'two files with each other’s content',
      () =>
        changed((entries) => {
          const contentOf = (file: string) => entries.find(({ path }) => path === file)!.content;
          const [a, b] = ['package/README.md', 'package/sbom.cdx.json'];
          return entries.map((entry) =>
            entry.path === a
              ? { ...entry, content: contentOf(b) }
              : entry.path === b
                ? { ...entry, content: contentOf(a) }
                : entry,
          );
        }),
    ],
  ])('%s', async (_, make) => {
    expect(await codeOf(make())).toBe('PACKAGE_ALTERED');
  });

  it('of which any byte is another', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(packed.bytes.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const bytes = Buffer.from(packed.bytes);
        bytes[at] = bytes[at]! ^ flip;
        expect(await codeOf(bytes, { expected: { integrity: packed.integrity } })).toBe('PACKAGE_ALTERED');
        // Without a hash to compare with, bytes of the container that mean nothing may differ; the content may not.
        expect(await codeOf(bytes)).toMatch(/^(read|PACKAGE_\w+|SIGNATURE_INVALID|MANIFEST_INVALID)$/);
      }),
      { numRuns: 200 },
    );
  });

  it('whose hash is only known by a weak algorithm', async () => {
    expect(await codeOf(packed.bytes, { expected: { integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' } })).toBe(
      'PACKAGE_ALTERED',
    );
  });
});

describe('a wrong signature', () => {
  const envelopeWith = (change: (envelope: { payload: string; signatures: Record<string, string>[] }) => void) =>
    changed((entries) =>
      entries.map((entry) => {
        if (entry.path !== `package/${ENVELOPE_FILE}`) return entry;
        const envelope = JSON.parse(String(entry.content)) as { payload: string; signatures: Record<string, string>[] };
        change(envelope);
        return { ...entry, content: JSON.stringify(envelope) };
      }),
    );

  it.each<[string, () => Buffer]>([
    [
      'of another statement',
      () => envelopeWith((one) => (one.signatures[0]!.sig = Buffer.from(`${'x'.repeat(64)}`).toString('base64'))),
    ],
    ['of another key', () => envelopeWith((one) => (one.signatures[0]!.sig = newKey().sign(Buffer.from('x'))))],
    [
      'with another key put beside it',
      () =>
        envelopeWith((one) => {
          const other = newKey();
          Object.assign(one.signatures[0]!, { keyid: other.keyId, publicKey: other.publicKey });
        }),
    ],
    [
      'with a key that is not the one it names',
      () => envelopeWith((one) => (one.signatures[0]!.publicKey = newKey().publicKey)),
    ],
    ['with nonsense for a key', () => envelopeWith((one) => (one.signatures[0]!.publicKey = 'bm9uc2Vuc2U='))],
    [
      'over another payload',
      () =>
        envelopeWith(
          (one) => (one.payload = Buffer.from(`${Buffer.from(one.payload, 'base64').toString()} `).toString('base64')),
        ),
    ],
  ])('%s', async (_, make) => {
    expect(await codeOf(make())).toBe('SIGNATURE_INVALID');
  });

  it('that was taken off leaves an unsigned package', async () => {
    const read = await readPackage(envelopeWith((one) => (one.signatures = [])));
    expect(read.signer).toBeUndefined();
  });
});

describe('another package than was said', () => {
  it.each([{ id: 'other' }, { name: 'other' }, { version: '2.0.0' }, { version: '0.9.0' }])('%j', async (expected) => {
    expect(await codeOf(packed.bytes, { expected })).toBe('PACKAGE_MISMATCH');
  });

  it('a statement about another name or version', async () => {
    expect(await codeOf(changed((all) => all, { key, version: '2.0.0' }))).toBe('PACKAGE_MISMATCH');
    expect(await codeOf(changed((all) => all, { key, name: 'renamed' }))).toBe('PACKAGE_MISMATCH');
  });
});

describe('what must not be in a package', () => {
  const file = (path: string, content = 'x'): TarEntry => ({ path, content });

  it.each<[string, TarEntry]>([
    ['a path upwards', file('package/../../evil')],
    ['a path upwards inside', file('package/a/../../evil')],
    ['an absolute path', file('/etc/cron.d/evil')],
    ['another folder', file('elsewhere/evil')],
    ['backslashes', file('package/..\\evil')],
    ['a drive', file('package/c:evil')],
    ['a device name', file('package/NUL.txt')],
    ['a trailing dot', file('package/evil.')],
    ['a control character', file('package/a\nb')],
    ['a mark that turns text around', file('package/\u202egpj.js')],
    ['an empty part', file('package//evil')],
    ['a decomposed name', file('package/e\u0301')],
    ['a symbolic link', { path: 'package/link', type: 'SymbolicLink', linkpath: '/etc/passwd' }],
    ['a hard link', { path: 'package/link', type: 'Link', linkpath: 'package/package.json' }],
    ['a character device', { path: 'package/dev', type: 'CharacterDevice', devmaj: 1, devmin: 3 }],
    ['a block device', { path: 'package/dev', type: 'BlockDevice', devmaj: 1, devmin: 3 }],
    ['a pipe', { path: 'package/pipe', type: 'FIFO' }],
    ['a folder', { path: 'package/dir/', type: 'Directory' }],
    ['a file twice', file('package/README.md')],
    ['a file twice but for case', file('package/Readme.MD')],
    ['a file where a folder is', file('package/dist')],
    ['a folder where a file is', file('package/README.md/more')],
  ])('%s', async (_, entry) => {
    expect(await codeOf(changed(plus(entry)))).toMatch(/^PACKAGE_(INVALID|DAMAGED)$/);
    expect(await codeOf(tarballOf([entry]))).toMatch(/^PACKAGE_(INVALID|DAMAGED)$/);
  });

  it('a path that an extended header changes', async () => {
    const pax = '25 path=package/../evil.\n';
    const entries = plus({ path: 'PaxHeader', type: 'ExtendedHeader', content: pax }, file('package/ok.txt'));
    expect(await codeOf(changed(entries))).toBe('PACKAGE_INVALID');
  });

  it.each([
    { scripts: { postinstall: 'x' } },
    { bin: 'x' },
    { dependencies: { x: '*' } },
    { atollPackage: 2 },
    { atollPackage: undefined },
  ])('a package.json with %j', async (members) => {
    expect(await codeOf(changed(packageJsonWith(members), { key }))).toBe('PACKAGE_INVALID');
  });

  it('a manifest that is wrong', async () => {
    expect(await codeOf(changed(packageJsonWith({ atoll: { id: 'A' } }), { key }))).toBe('MANIFEST_INVALID');
    expect(await codeOf(changed(replaced('package.json', '{'), { key }))).toBe('PACKAGE_INVALID');
    expect(await codeOf(changed(replaced('package.json', 'null'), { key }))).toBe('PACKAGE_INVALID');
  });

  it('nothing of ours at all, as in other npm packages', async () => {
    expect(await codeOf(tarballOf([file('package/package.json', '{"name":"x","version":"1.0.0"}')]))).toBe(
      'PACKAGE_INVALID',
    );
    expect(await codeOf(tarballOf([]))).toMatch(/^PACKAGE_(INVALID|DAMAGED)$/);
  });
});

describe('bombs', () => {
  it('by compression', async () => {
    const archive = Buffer.alloc(PACKAGE_LIMITS.unpackedBytes + 1);
    expect(await codeOf(gzipSync(archive, { level: 1 }))).toBe('PACKAGE_TOO_LARGE');
  });

  it('by compression in compression', async () => {
    expect(await codeOf(gzipSync(gzipSync(Buffer.alloc(1_000_000))))).toBe('PACKAGE_INVALID');
  });

  it('by number', async () => {
    const many = Array.from({ length: PACKAGE_LIMITS.files + 1 }, (_, at) => ({ path: `package/${at}`, content: '' }));
    expect(await codeOf(tarballOf(many))).toBe('PACKAGE_TOO_LARGE');
  });

  it('by size', async () => {
    expect(await codeOf(Buffer.alloc(PACKAGE_LIMITS.tarballBytes + 1))).toBe('PACKAGE_TOO_LARGE');
    expect(await codeOf(packed.bytes, { limits: { ...PACKAGE_LIMITS, tarballBytes: 100 } })).toBe('PACKAGE_TOO_LARGE');
  });

  it('by the code alone', async () => {
    expect(await codeOf(packed.bytes, { limits: { ...PACKAGE_LIMITS, bundleBytes: 10 } })).toBe('PACKAGE_TOO_LARGE');
  });

  it('by an entry that says it is larger than the archive', async () => {
    const archive = gunzipSync(packed.bytes);
    archive.write('77777777777', 124);
    expect(await codeOf(gzipSync(archive))).toMatch(/^PACKAGE_(INVALID|DAMAGED)$/);
  });
});

it('never throws anything but what the catalogue lists', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (bytes) => {
      for (const input of [Buffer.from(bytes), gzipSync(bytes)]) expect(await codeOf(input)).toMatch(/^PACKAGE_/);
    }),
  );
});
