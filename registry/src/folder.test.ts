import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { listPluginFolders, readPluginFolder } from './folder.js';

let root: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-folders-'));
});

afterEach(() => rm(root, { recursive: true }));

async function write(dir: string, packageJson: unknown): Promise<string> {
  const folder = path.join(root, dir);
  await mkdir(folder, { recursive: true });
  await writeFile(
    path.join(folder, 'package.json'),
    typeof packageJson === 'string' ? packageJson : JSON.stringify(packageJson),
  );
  return folder;
}

const plugin = (id: string) => ({ name: `plugin-${id}`, version: '1.0.0', license: 'MIT', atoll: { id } });

describe('readPluginFolder', () => {
  it('reads the manifest and the whole package.json', async () => {
    const dir = await write('a', plugin('a'));
    const folder = await readPluginFolder(dir);
    expect(folder).toMatchObject({ dir, manifest: { id: 'a', version: '1.0.0' }, packageJson: { license: 'MIT' } });
  });

  it.each([
    ['without a package.json', undefined, /is no plugin: it has no package.json with an "atoll" field/],
    ['of another package', { name: 'x', version: '1.0.0' }, /is no plugin/],
    ['with broken JSON', '{"name": ', /not valid JSON/],
    [
      'with a broken manifest',
      { ...plugin('a'), version: 'one' },
      /version: expected a semantic version such as 1.0.0, got "one"/,
    ],
  ])('refuses a folder %s', async (_, packageJson, message) => {
    const dir = packageJson === undefined ? root : await write('a', packageJson);
    await expect(readPluginFolder(dir)).rejects.toMatchObject({
      code: 'MANIFEST_INVALID',
      message: expect.stringMatching(message) as string,
    });
  });

  it('takes a byte order mark', async () => {
    const dir = await write('a', `\uFEFF${JSON.stringify(plugin('a'))}`);
    expect((await readPluginFolder(dir)).manifest.id).toBe('a');
  });
});

describe('listPluginFolders', () => {
  const ids = (scan: Awaited<ReturnType<typeof listPluginFolders>>) => scan.folders.map(({ manifest }) => manifest.id);

  it('takes a folder that is a plugin itself', async () => {
    expect(ids(await listPluginFolders(await write('a', plugin('a'))))).toEqual(['a']);
  });

  it('finds the plugins of a folder, in order, and skips everything else', async () => {
    for (const id of ['c', 'a', 'b']) await write(id, plugin(id));
    await write('library', { name: 'library', version: '1.0.0' });
    await write('node_modules', plugin('n'));
    await write('.hidden', plugin('h'));
    await writeFile(path.join(root, 'README.md'), '');
    const scan = await listPluginFolders(root);
    expect(ids(scan)).toEqual(['a', 'b', 'c']);
    expect(scan.problems).toEqual([]);
  });

  it('follows links to folders', async () => {
    await symlink(await write('elsewhere/a', plugin('a')), path.join(root, 'linked'));
    expect(ids(await listPluginFolders(root))).toEqual(['a']);
  });

  it('tells a bad one as a problem and keeps the others', async () => {
    await write('good', plugin('good'));
    const bad = await write('bad', { ...plugin('bad'), atoll: {} });
    const scan = await listPluginFolders(root);
    expect(ids(scan)).toEqual(['good']);
    expect(scan.problems).toEqual([
      { dir: bad, error: expect.objectContaining({ code: 'MANIFEST_INVALID' }) as unknown },
    ]);
  });

  it('finds nothing in a folder that does not exist', async () => {
    expect(await listPluginFolders(path.join(root, 'absent'))).toEqual({ folders: [], problems: [] });
  });
});
