import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { readTarball, writeTarball } from './tarball.js';

const name = fc
  .stringMatching(/^[a-z0-9_-]{1,20}(\.[a-z0-9]{1,5})?$/)
  .filter((text) => !/^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/.test(text));
const filePath = fc.array(name, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
/** No two that are equal but for case, and none that is another's folder. */
const files = fc
  .dictionary(filePath, fc.uint8Array({ maxLength: 2000 }), { minKeys: 1, maxKeys: 12 })
  .filter((all) => Object.keys(all).every((one) => !Object.keys(all).some((other) => other.startsWith(`${one}/`))))
  .map((all) => new Map(Object.entries(all).map(([key, content]): [string, Buffer] => [key, Buffer.from(content)])));

it('what is written is read again, whatever the files', async () => {
  await fc.assert(
    fc.asyncProperty(files, async (written) => {
      const read = await readTarball(writeTarball(written));
      expect([...read].sort()).toEqual([...written].sort());
    }),
  );
});

it('the order of the files makes no difference', () => {
  fc.assert(
    fc.property(files, (written) => {
      const reversed = new Map([...written].reverse());
      expect(writeTarball(reversed).equals(writeTarball(written))).toBe(true);
    }),
  );
});

it('other programs unpack it', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'atoll-tar-'));
  try {
    const deep = `${'d'.repeat(60)}/${'e'.repeat(60)}/file.txt`;
    writeFileSync(
      path.join(dir, 'a.tgz'),
      writeTarball(
        new Map([
          [deep, Buffer.from('deep')],
          ['a.txt', Buffer.from('a')],
        ]),
      ),
    );
    execFileSync('tar', ['-xzf', 'a.tgz'], { cwd: dir });
    expect(readFileSync(path.join(dir, 'package', deep), 'utf8')).toBe('deep');
    expect(readFileSync(path.join(dir, 'package/a.txt'), 'utf8')).toBe('a');
  } finally {
    rmSync(dir, { recursive: true });
  }
});

it('an archive of which any part was changed is read or refused, and nothing else happens', async () => {
  const archive = gunzipSync(
    writeTarball(
      new Map([
        ['a.txt', Buffer.from('content')],
        ['b/c.txt', Buffer.alloc(700)],
      ]),
    ),
  );
  const change = fc.tuple(fc.nat(archive.length - 1), fc.uint8Array({ minLength: 1, maxLength: 40 }));
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 6 }), async (changes) => {
      const broken = Buffer.from(archive);
      for (const [at, bytes] of changes) broken.set(bytes.slice(0, archive.length - at), at);
      const outcome = await readTarball(gzipSync(broken, { level: 1 })).then(
        (found) => [...found.keys()].every((key) => !key.startsWith('/') && !key.split('/').includes('..')),
        (error: { name: string; code: string }) => error.name === 'AtollError' && error.code.startsWith('PACKAGE_'),
      );
      expect(outcome).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
