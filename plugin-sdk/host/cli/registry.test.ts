import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CliResult, atoll as run, atollJson as runJson } from '../../../test/support/atoll-cli.js';
import { writePlugin } from '../../../test/support/packages.js';
import { Verdaccio } from '../../../test/support/verdaccio.js';

let dir: string;
const atoll = (...args: string[]) => run(dir, args);
const atollJson = <T = Record<string, unknown>>(...args: string[]) => runJson<T>(dir, args);
const errorOf = ({ code, stderr }: CliResult) => ({
  exit: code,
  ...(JSON.parse(stderr) as { code?: string; hint?: string; error: string }),
});

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-registry-cli-'));
  await atoll('keys', 'create');
});
afterEach(() => rm(dir, { recursive: true }));

async function publish(id: string, version = '1.0.0', atollField: object = {}, ...flags: string[]) {
  const { dir: folder } = await writePlugin(dir, { id, version, atoll: atollField });
  return atoll('registry', 'publish', path.relative(dir, folder), ...flags, '--json');
}

describe('the store, without a server', () => {
  it('publishes, finds, shows, compares and marks', async () => {
    await publish('greeter', '1.0.0', { title: 'Says hello' });
    await publish('greeter', '1.1.0', { permissions: { net: ['https://x.com'] } });
    const { stdout } = await atoll('registry', 'search', 'greter');
    expect(stdout).toMatch(/^ID +VERSION +VERIFIED +ASKS FOR +WHAT\ngreeter +1\.1\.0 +no +net/);
    expect(await atollJson('registry', 'info', 'greeter')).toMatchObject({
      channels: { latest: '1.1.0' },
      versions: [{}, {}],
    });
    expect((await atoll('registry', 'diff', 'greeter@1.0.0', 'greeter@1.1.0')).stdout).toBe('+ net https://x.com\n');
    await atoll('registry', 'yank', 'greeter@1.1.0', '--reason', 'loses data');
    expect((await atoll('registry', 'info', 'greeter')).stdout).toContain('yanked: loses data');
    await atoll('registry', 'deprecate', 'greeter@1.0.0', 'use hello');
    expect(await atollJson('registry', 'plan', 'greeter')).toMatchObject({
      steps: [{ to: '1.0.0', deprecated: 'use hello' }],
    });
    await atoll('registry', 'unyank', 'greeter@1.1.0');
    await atoll('registry', 'remove', 'greeter@1.0.0');
    expect(await atollJson('registry', 'info', 'greeter')).toMatchObject({ versions: [{ version: '1.1.0' }] });
    expect((await atoll('registry', 'check')).stdout).toBe('Every package is whole.\n');
  });

  it('is shared by commands that run at the same time', async () => {
    const ids = ['one', 'two', 'three', 'four'];
    expect((await Promise.all(ids.map((id) => publish(id)))).map(({ code }) => code)).toEqual([0, 0, 0, 0]);
    const { items } = await atollJson<{ items: { id: string }[] }>('registry', 'search');
    expect(items.map(({ id }) => id)).toEqual([...ids].sort());
  });

  it('explains what it refuses', async () => {
    await publish('greeter', '2.0.0');
    expect(errorOf(await publish('greeter', '1.0.0'))).toMatchObject({
      exit: 1,
      code: 'PACKAGE_DOWNGRADE',
      hint: expect.stringContaining('--backport') as string,
    });
    expect((await publish('greeter', '1.0.0', {}, '--backport')).code).toBe(0);
    expect(errorOf(await atoll('registry', 'info', 'absent', '--json'))).toMatchObject({
      exit: 5,
      code: 'VERSION_NOT_FOUND',
    });
    expect(errorOf(await atoll('registry', 'yank', 'greeter', '--reason', 'x', '--json'))).toMatchObject({ exit: 2 });
    expect(errorOf(await atoll('registry', 'plan', 'greter', '--json'))).toMatchObject({
      exit: 5,
      error: expect.stringContaining('Did you mean "greeter"?') as string,
    });
    expect((await atoll('registry', 'search', '--limit', '0')).code).toBe(2);
  });

  it('repairs what was damaged, and says so', async () => {
    await publish('greeter');
    await writeFile(path.join(dir, 'data/registry/index.json'), 'damaged');
    const { stderr, stdout } = await atoll('registry', 'search');
    expect(stderr).toBe('warning: index.json was damaged and has been written anew.\n');
    expect(stdout).toContain('greeter');
  });
});

describe('keys', () => {
  it('are shown, trusted and revoked', async () => {
    await publish('greeter');
    const own = await atollJson<{ keyId: string; publicKey: string }>('keys', 'show');
    expect(await atollJson('keys', 'list')).toMatchObject([{ keyId: own.keyId, trust: 'first-use' }]);
    await atoll('keys', 'trust', own.keyId, '--publisher', 'Ada');
    expect(await atollJson('keys', 'list')).toMatchObject([{ trust: 'explicit', publisher: 'Ada' }]);
    const { stdout } = await atoll('keys', 'revoke', own.keyId, '--reason', 'stolen');
    expect(stdout).toContain('greeter@1.0.0 is quarantined.');
    expect(errorOf(await publish('greeter', '1.1.0'))).toMatchObject({ exit: 4, code: 'KEY_REVOKED' });
    expect(errorOf(await atoll('keys', 'trust', own.publicKey, '--json'))).toMatchObject({ code: 'KEY_REVOKED' });
    expect((await atoll('keys', 'trust', own.publicKey, '--restore')).code).toBe(0);
    expect((await atoll('keys', 'create')).code).toBe(1);
  });

  it('of others need trust where signatures are required', async () => {
    const { dir: folder } = await writePlugin(dir, { id: 'foreign' });
    await atoll('keys', 'create', '--signing-key', 'foreign.key');
    await atoll('pack', path.relative(dir, folder), '--signing-key', 'foreign.key', '--out', 'foreign.tgz');
    const attempt = () => atoll('registry', 'publish', 'foreign.tgz', '--signatures', 'required', '--json');
    expect(errorOf(await attempt())).toMatchObject({ exit: 4, code: 'KEY_UNTRUSTED' });
    await atoll('keys', 'trust', 'foreign.key', '--publisher', 'Foreign');
    expect((await attempt()).code).toBe(0);
  });
});

describe('going places', () => {
  it('exports a plugin with what it needs, and imports it elsewhere', async () => {
    await publish('base', '1.0.0', { provides: { things: '1.0.0' } });
    await publish('app', '1.0.0', { consumes: { things: '*' } });
    await publish('unrelated');
    const { packages } = await atollJson<{ packages: { id: string }[] }>(
      'registry',
      'export',
      'app',
      '--out',
      'app.tar',
    );
    expect(packages.map(({ id }) => id)).toEqual(['app', 'base']);
    const elsewhere = ['--store', 'elsewhere'];
    expect(await atollJson('registry', 'import', 'app.tar', ...elsewhere)).toMatchObject({
      added: [{}, {}],
      refused: [],
    });
    expect((await atoll('registry', 'plan', 'app', ...elsewhere)).stdout).toMatch(
      /^install +base 1\.0\.0 .*\ninstall +app 1\.0\.0 \(you asked for it\)/,
    );
    const strict = ['--store', 'strict', '--signatures', 'required'];
    const refused = await atoll('registry', 'import', 'app.tar', ...strict);
    expect({ code: refused.code, stdout: refused.stdout }).toMatchObject({
      code: 1,
      stdout: expect.stringContaining('KEY_UNTRUSTED') as string,
    });
    expect((await atoll('registry', 'import', 'app.tar', '--trust-keys', ...strict)).code).toBe(0);
  });

  it('pushes to an npm registry and fetches from it', async () => {
    const verdaccio = await Verdaccio.start();
    try {
      const { dir: folder } = await writePlugin(dir, { id: 'travels', name: '@acme/travels' });
      await atoll('pack', path.relative(dir, folder), '--out', 'travels.tgz');
      expect((await atoll('registry', 'push', 'travels.tgz', '--to', verdaccio.url)).code).toBe(0);
      expect(errorOf(await atoll('registry', 'push', 'travels.tgz', '--to', verdaccio.url, '--json'))).toMatchObject({
        code: 'VERSION_EXISTS',
      });
      const fetched = await atoll('registry', 'fetch', '@acme/travels@^1.0.0', '--from', verdaccio.url);
      expect(fetched).toMatchObject({ code: 0, stdout: 'travels@1.0.0 is in the store.\n' });
      const absent = errorOf(
        await atoll('registry', 'fetch', '@acme/travels@^2.0.0', '--from', verdaccio.url, '--json'),
      );
      expect(absent).toMatchObject({ exit: 5, error: expect.stringContaining('it has 1.0.0') as string });
    } finally {
      await verdaccio.stop();
    }
    const gone = errorOf(await atoll('registry', 'fetch', 'x', '--from', verdaccio.url, '--json'));
    expect(gone).toMatchObject({ code: 'SOURCE_UNREACHABLE' });
  });

  it('keeps what was published by hand', async () => {
    const { file } = await (async () => {
      const { dir: folder } = await writePlugin(dir, { id: 'greeter' });
      return atollJson<{ file: string }>('pack', path.relative(dir, folder));
    })();
    await copyFile(file, path.join(dir, 'copy.tgz'));
    await atoll('registry', 'publish', file);
    expect((await atoll('registry', 'publish', 'copy.tgz')).stdout).toBe('greeter@1.0.0 was there already.\n');
    const bytes = await readFile(file);
    bytes[20] = bytes[20]! ^ 1;
    await writeFile(file, bytes);
    expect(errorOf(await atoll('registry', 'publish', file, '--json')).code).toMatch(/^PACKAGE_/);
  });
});
