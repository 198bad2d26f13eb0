import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, atoll as run, atollJson as runJson } from '../../../test/support/atoll-cli.js';

let dir: string;
const atoll = (...args: string[]) => run(dir, args);
const atollJson = <T>(...args: string[]) => runJson<T>(dir, args);
const errorOf = ({ code, stderr }: CliResult) => ({
  exit: code,
  ...(JSON.parse(stderr) as { code?: string; hint?: string }),
});

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-cli-'));
  await atoll('create', 'greeter');
});
afterEach(() => rm(dir, { recursive: true }));

describe('pack and verify', () => {
  it('makes a package and, the first time, a key that only its owner can read', async () => {
    const { code, stdout } = await atoll('pack', 'greeter', '--out', 'out/greeter.tgz');
    const key = path.join(dir, 'home/.config/atoll/publisher.key');
    expect({ code, stdout }).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`${key} is your new`) as string,
    });
    expect((await stat(key)).mode & 0o777).toBe(0o600);
    expect(await readdir(path.join(dir, 'out'))).toEqual(['greeter.tgz']);
    const verified = await atollJson<{ signer: string }>('verify', 'out/greeter.tgz');
    expect(verified).toMatchObject({
      id: 'greeter',
      version: '0.1.0',
      signer: expect.stringMatching(/^ed25519:/) as string,
    });
  });

  it('makes the same bytes again', async () => {
    const first = await atollJson<{ integrity: string; file: string }>('pack', 'greeter');
    const before = await readFile(first.file);
    const second = await atollJson<{ integrity: string; file: string }>('pack', 'greeter', '--out', 'again.tgz');
    expect(second.integrity).toBe(first.integrity);
    expect((await readFile(second.file)).equals(before)).toBe(true);
    expect(path.basename(first.file)).toBe('greeter-0.1.0.tgz');
  });

  it('leaves it unsigned when told so', async () => {
    await atoll('pack', 'greeter', '--no-sign', '--out', 'a.tgz');
    expect(existsSync(path.join(dir, 'home/.config'))).toBe(false);
    expect(await atollJson('verify', 'a.tgz')).toMatchObject({ signer: null });
    await atoll('pack', 'greeter', '--out', 'b.tgz');
    expect(
      errorOf(await atoll('verify', 'a.tgz', '--public-key', 'home/.config/atoll/publisher.key', '--json')),
    ).toMatchObject({
      code: 'SIGNATURE_MISSING',
    });
    expect((await atoll('verify', 'b.tgz', '--public-key', 'home/.config/atoll/publisher.key')).code).toBe(0);
  });

  it('explains what is wrong with a package', async () => {
    const { file } = await atollJson<{ file: string }>('pack', 'greeter');
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length / 2));
    expect(errorOf(await atoll('verify', file, '--json'))).toMatchObject({ exit: 1, code: 'PACKAGE_DAMAGED' });
    expect(errorOf(await atoll('verify', 'greeter', '--json'))).toMatchObject({ exit: 1, hint: 'Name a .tgz file.' });
  });

  it('says which key is missing', async () => {
    const result = errorOf(await atoll('pack', 'greeter', '--signing-key', 'absent.key', '--json'));
    expect(result).toMatchObject({ exit: 1, hint: expect.stringContaining('atoll keys create') as string });
    await writeFile(path.join(dir, 'bad.key'), 'nonsense');
    expect(errorOf(await atoll('pack', 'greeter', '--signing-key', 'bad.key', '--json'))).toMatchObject({
      code: 'KEY_UNUSABLE',
    });
  });
});
