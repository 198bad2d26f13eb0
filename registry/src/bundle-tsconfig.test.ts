import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundlePlugin } from './bundle.js';
import { readOwnTsconfig } from './bundle-tsconfig.js';
import { readPluginFolder } from './folder.js';

let root: string;
let dir: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), 'atoll-tsconfig-')));
  dir = path.join(root, 'sample');
});

afterEach(() => rm(root, { recursive: true }));

async function write(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(dir, name)), { recursive: true });
    await writeFile(path.join(dir, name), text);
  }
}

const optionsOf = async (files: Record<string, string>) => {
  await write(files);
  return (await readOwnTsconfig(dir, 'sample')).raw.compilerOptions;
};
const failure = () =>
  readOwnTsconfig(dir, 'sample').then(
    () => '',
    (error: Error) => error.message,
  );

describe('the compiler options of a plugin', () => {
  it('are those that change its code', async () => {
    const text =
      '\uFEFF// mine\n{ "compilerOptions": { "jsx": "react", /* "strict" */ "outDir": "a//b", "target": "es2020", }, }';
    expect(await optionsOf({ 'tsconfig.json': text })).toEqual({ jsx: 'react', target: 'es2020' });
  });

  it('are none without a tsconfig.json', async () => {
    expect(await optionsOf({})).toEqual({});
  });

  it('may extend files of the folder, and those win that come later', async () => {
    const files = {
      'tsconfig.json': '{"extends":["./base/a","./base/b.json"],"compilerOptions":{"jsx":"preserve"}}',
      'base/a.json': '{"compilerOptions":{"jsx":"react","strict":true,"paths":{"@/*":["../src/*"]}}}',
      'base/b.json': '{"extends":"../tsconfig.json","compilerOptions":{"strict":false}}',
    };
    expect(await optionsOf(files)).toEqual({
      jsx: 'preserve',
      strict: false,
      paths: { '@/*': [path.join(dir, 'src/*')] },
    });
    expect((await readOwnTsconfig(dir, 'sample')).files).toEqual(
      ['tsconfig.json', 'base/a.json', 'base/b.json'].map((name) => path.join(dir, name)),
    );
  });

  it('name places as TypeScript reads them', async () => {
    const tsconfig = '{"compilerOptions":{"baseUrl":"./src","paths":{"@/*":["./lib/*"]}}}';
    await write({
      'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', atoll: { id: 'sample' } }),
      'tsconfig.json': tsconfig,
      'src/index.ts': 'export { a } from "@/a"; export { b } from "b";',
      'src/lib/a.ts': 'export const a = "first";',
      'src/b.ts': 'export const b = "second";',
    });
    expect((await bundlePlugin(await readPluginFolder(dir))).code).toMatch(/first[\s\S]*second/);
  });
});

describe('what lies outside of the folder', () => {
  beforeEach(() => writeFile(path.join(path.dirname(dir), 'secret.json'), 'hush'));

  it.each(['../secret.json', '/etc/passwd', '@acme/tsconfig', './../secret', 7, null])(
    'is passed over as %j',
    async (extended) => {
      const text = JSON.stringify({ extends: extended, compilerOptions: { strict: true } });
      expect(await optionsOf({ 'tsconfig.json': text })).toEqual({ strict: true });
    },
  );

  it.each(['tsconfig.json', 'base.json'])('is refused as a link at %s, and not quoted', async (name) => {
    await write({ 'tsconfig.json': '{"extends":"./base.json"}' });
    await rm(path.join(dir, name), { force: true });
    await symlink(path.join(root, 'secret.json'), path.join(dir, name));
    expect(await failure()).toBe(`sample: ${name} leads out of the plugin's folder; copy what it leads to in`);
  });

  it('does not appear in the error of a build', async () => {
    await write({
      'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', atoll: { id: 'sample' } }),
      'tsconfig.json': '{"extends":"/etc/passwd"}',
      'src/index.ts': 'import "./gone.js";',
    });
    await expect(bundlePlugin(await readPluginFolder(dir))).rejects.toThrow(
      expect.objectContaining({ message: 'sample: src/index.ts:1:8: Could not resolve "./gone.js"' }),
    );
  });
});

describe('a tsconfig.json that is none', () => {
  it.each(['hush', '[]', '{"a":', '{"extends": }'])('is refused: %s', async (text) => {
    await write({ 'tsconfig.json': text });
    expect(await failure()).toBe('sample: tsconfig.json is no valid JSON object');
  });

  it('is refused as a folder and above a size', async () => {
    await write({ 'tsconfig.json/x': '' });
    expect(await failure()).toContain("tsconfig.json can't be read: it is no regular file of at most");
  });

  it.each([`{${'\\"/*'.repeat(60_000)}`, `"${'\\"'.repeat(120_000)}\\`])(
    'takes no long time, whatever is in it',
    async (text) => {
      await write({ 'tsconfig.json': text });
      expect(await failure()).toContain('no valid JSON');
    },
  );
});
