import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Principal } from '@atoll/plugin-sdk/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authorize, loadMasterKey, loadRootKey, MasterKey, RootKeyAuthenticator, sealWith } from './index.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-auth-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const modeOf = async (file: string) => (await stat(file)).mode & 0o777;

describe('the master key', () => {
  const [OLD, NEW] = ['the old master key, long enough for this', 'the new master key, long enough for this'];
  const wrong = expect.objectContaining({ code: 'MASTER_KEY_WRONG' });

  it('opens what it has sealed, for that use and place, and says which key it was', () => {
    const master = new MasterKey(OLD);
    const sealed = master.seal('use', 'place', 'text');
    expect(sealed.startsWith(`${master.id}.`)).toBe(true);
    expect(master.open('use', 'place', sealed)).toBe('text');
    for (const [use, place] of [
      ['other', 'place'],
      ['use', 'other'],
    ] as const)
      expect(() => master.open(use, place, sealed)).toThrow(wrong);
    for (const text of ['', '.', 'x', `${master.id}.`, `${master.id}.x`, sealed.slice(0, -3)])
      expect(() => master.open('use', 'place', text)).toThrow(wrong);
  });

  it('accepts what was made with one from before, also without a name', () => {
    const [old, both] = [new MasterKey(OLD), new MasterKey(NEW, { previous: [OLD] })];
    expect(both.open('use', 'place', old.seal('use', 'place', 'text'))).toBe('text');
    const unnamed = sealWith(old.derive('use'), 'place', Buffer.from('text'));
    expect(both.open('use', 'place', unnamed)).toBe('text');
    expect(() => new MasterKey(NEW).open('use', 'place', unnamed)).toThrow(wrong);
    expect(both.derive('use')).toEqual(new MasterKey(NEW).derive('use'));
    expect(both.activate(old.id)).toBe(true);
    expect(both.derive('use')).toEqual(old.derive('use'));
    expect([both.configured, both.activate('unknown'), both.id]).toEqual([new MasterKey(NEW).id, false, old.id]);
  });

  it('is renewed in its file; the old one is kept, whenever that is interrupted', async () => {
    const first = await loadMasterKey(dir);
    const before = await readFile(path.join(dir, 'master.key'), 'utf8');
    const key = await first.renew!();
    expect(await readFile(path.join(dir, 'master.previous.key'), 'utf8')).toBe(before);
    expect(await readFile(path.join(dir, 'master.key'), 'utf8')).toBe(`${key}\n`);
    for (const name of ['master.key', 'master.previous.key']) expect(await modeOf(path.join(dir, name))).toBe(0o600);
    const later = await loadMasterKey(dir);
    expect(later.id).not.toBe(first.id);
    expect(later.has(first.id)).toBe(true);
    // One that is configured from now on accepts what the files have made; the operator keeps it.
    const configured = await loadMasterKey(dir, { masterKey: OLD, previousMasterKey: NEW });
    expect(configured.renew).toBeUndefined();
    for (const id of [first.id, later.id, new MasterKey(NEW).id]) expect(configured.has(id)).toBe(true);
  });
});

describe('the root key', () => {
  it('is the configured one, and leaves no file', async () => {
    expect(await loadRootKey(path.join(dir, 'data'), 'configured-root-key')).toEqual({
      key: 'configured-root-key',
      generated: false,
    });
    await expect(stat(path.join(dir, 'data'))).rejects.toThrow('ENOENT');
  });

  it('is made once, readable by its owner only, and kept', async () => {
    const dataDir = path.join(dir, 'deep', 'data');
    const first = await loadRootKey(dataDir, undefined);
    expect(first).toMatchObject({ generated: true, file: path.join(dataDir, 'root.key') });
    expect(first.key).toMatch(/^atoll_[\w-]{43}$/);
    expect(await modeOf(first.file!)).toBe(0o600);
    expect(await modeOf(dataDir)).toBe(0o700);
    expect(await loadRootKey(dataDir, undefined)).toEqual({ ...first, generated: false });
    expect((await loadRootKey(path.join(dir, 'other'), undefined)).key).not.toBe(first.key);
  });

  it('gets its rights back when the file was readable by others', async () => {
    const file = path.join(dir, 'root.key');
    await writeFile(file, ' the-key-of-before \n');
    await chmod(file, 0o644);
    expect((await loadRootKey(dir, undefined)).key).toBe('the-key-of-before');
    expect(await modeOf(file)).toBe(0o600);
  });

  it('is never replaced when it can’t be read', async () => {
    await writeFile(path.join(dir, 'root.key'), '\n');
    await expect(loadRootKey(dir, undefined)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    expect(await readFile(path.join(dir, 'root.key'), 'utf8')).toBe('\n');
    const other = path.join(dir, 'other');
    await mkdir(path.join(other, 'root.key'), { recursive: true });
    await expect(loadRootKey(other, undefined)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('is the same for two that start at once, or the second fails', async () => {
    const results = await Promise.allSettled([loadRootKey(dir, undefined), loadRootKey(dir, undefined)]);
    const kept = (await readFile(path.join(dir, 'root.key'), 'utf8')).trim();
    for (const result of results) if (result.status === 'fulfilled') expect(result.value.key).toBe(kept);
    expect(results.some(({ status }) => status === 'fulfilled')).toBe(true);
  });
});

describe('RootKeyAuthenticator', () => {
  it('knows the root key and nothing else', () => {
    const authenticator = new RootKeyAuthenticator('the-root-key');
    expect(authenticator.authenticate('the-root-key')).toMatchObject({ kind: 'root' });
    for (const wrong of ['', 'the-root-ke', 'the-root-key ', 'THE-ROOT-KEY', 'x'.repeat(100_000)]) {
      expect(authenticator.authenticate(wrong)).toBeUndefined();
    }
  });
});

describe('authorize', () => {
  it('lets root do everything, others nothing, and nobody be nobody', () => {
    const root: Principal = { kind: 'root', id: 'root', roles: [] };
    expect(authorize(root, 'plugins.manage')).toBe(root);
    expect(() => authorize({ kind: 'plugin', id: 'p', roles: ['admin'] }, 'plugins.read')).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN' }),
    );
    expect(() => authorize(undefined, 'plugins.call')).toThrow(expect.objectContaining({ code: 'UNAUTHENTICATED' }));
  });
});
