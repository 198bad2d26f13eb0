import { mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { SourceMap, type SourceMapPayload } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundlePlugin } from './bundle.js';
import { type PluginFolder, readPluginFolder } from './folder.js';

let root: string;
let dir: string;

beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-bundle-'));
  dir = path.join(root, 'plugins', 'sample');
});

afterEach(() => rm(root, { recursive: true }));

async function write(files: Record<string, string>, base = dir): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(base, name)), { recursive: true });
    await writeFile(path.join(base, name), text);
  }
}

async function pluginOf(files: Record<string, string> | string): Promise<PluginFolder> {
  await write({ 'package.json': JSON.stringify({ name: 'sample', version: '1.0.0', atoll: { id: 'sample' } }) });
  await write(typeof files === 'string' ? { 'src/index.ts': files } : files);
  return readPluginFolder(dir);
}

/** Runs the script as an isolate would and returns what it exports. */
function run(code: string): Record<string, unknown> {
  const context = vm.createContext({ TextEncoder, TextDecoder, URL });
  vm.runInContext(code, context);
  return (context as { __atollPlugin: Record<string, unknown> }).__atollPlugin;
}

async function failureOf(files: Record<string, string> | string): Promise<string> {
  const folder = await pluginOf(files);
  const error = await bundlePlugin(folder).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: 'AtollError', code: 'BUNDLE_FAILED' });
  const { message } = error as Error;
  expect(message).not.toContain(root);
  return message;
}

describe('a bundle', () => {
  it('assigns the exports of the entry to __atollPlugin', async () => {
    const { code, bytes, hash } = await bundlePlugin(
      await pluginOf('export default { n: 41 + 1 }; export const also = 1;'),
    );
    expect(run(code)).toMatchObject({ default: { n: 42 }, also: 1 });
    expect(bytes).toBe(Buffer.byteLength(code));
    expect(hash).toMatch(/^[0-9a-f]{64}$/);
  });

  it('finds the SDK and TypeBox without node_modules', async () => {
    const source = `
      import { definePlugin } from '@atoll/plugin-sdk';
      import { ERRORS } from '@atoll/plugin-sdk/contract';
      import { Type } from 'typebox';
      export default definePlugin(() => {});
      export const status = ERRORS.NOT_FOUND.status;
      export const schema = Type.String();`;
    const { default: plugin, status, schema } = run((await bundlePlugin(await pluginOf(source))).code);
    expect(plugin).toHaveProperty('setup');
    expect({ status, schema }).toMatchObject({ status: 404, schema: { type: 'string' } });
  });

  it('has no native async functions, so that the runtime can follow every await', async () => {
    const source = `
      export async function f() { return await 1; }
      export async function* g() { yield 1; }
      export async function h(xs: AsyncIterable<number>) { for await (const x of xs) return x; }`;
    expect((await bundlePlugin(await pluginOf(source))).code).not.toMatch(/\basync\b(?!_)|\bawait\b/);
  });

  it('keeps names of functions and text that is not ASCII', async () => {
    const { code } = await bundlePlugin(await pluginOf('export const greet = () => "Grüße 🏝";'));
    expect(code).toContain('Grüße 🏝');
    expect((run(code).greet as { name: string }).name).toBe('greet');
  });

  it('takes the build of a package that is meant for workers', async () => {
    const exports = { '.': { node: './node.js', workerd: './worker.js', default: './other.js' } };
    const { code } = await bundlePlugin(
      await pluginOf({
        'src/index.ts': 'export { which } from "lib";',
        'node_modules/lib/package.json': JSON.stringify({ name: 'lib', exports }),
        'node_modules/lib/node.js': 'export const which = "node";',
        'node_modules/lib/worker.js': 'export const which = "worker";',
        'node_modules/lib/other.js': 'export const which = "other";',
      }),
    );
    expect(run(code).which).toBe('worker');
  });

  it('goes by the compiler options of the plugin, not by those around it', async () => {
    const tsx = {
      'src/index.tsx': 'const make = (name: string) => name; export const made = <b />;',
      'package.json': JSON.stringify({
        name: 'sample',
        version: '1.0.0',
        atoll: { id: 'sample', entry: 'src/index.tsx' },
      }),
    };
    await write({ 'tsconfig.json': '{"compilerOptions":{"jsxFactory":"absent"}}' }, root);
    await write({ ...tsx, 'tsconfig.json': '{"compilerOptions":{"jsx":"react","jsxFactory":"make"}}' });
    expect(run((await bundlePlugin(await readPluginFolder(dir))).code).made).toBe('b');
    await rm(path.join(dir, 'tsconfig.json'));
    expect((await bundlePlugin(await readPluginFolder(dir))).code).not.toContain('absent');
  });

  it('names all files to watch', async () => {
    const { inputs } = await bundlePlugin(
      await pluginOf({ 'src/index.ts': 'export * from "./b.js";', 'src/b.ts': 'export const b = 1;' }),
    );
    expect(inputs).toEqual(
      expect.arrayContaining(['src/index.ts', 'src/b.ts', 'package.json'].map((name) => path.join(dir, name))),
    );
  });

  it('maps back to the author’s lines', async () => {
    const { code, map } = await bundlePlugin(
      await pluginOf('\n\nexport function fail() {\n  throw new Error("here");\n}\n'),
    );
    const sourceMap = new SourceMap(JSON.parse(map) as SourceMapPayload);
    const at = code.slice(0, code.indexOf('new Error')).split('\n');
    expect(sourceMap.findEntry(at.length - 1, at.at(-1)!.length)).toMatchObject({
      originalSource: 'src/index.ts',
      originalLine: 3,
    });
  });
});

describe('paths of this machine', () => {
  const hoisted = {
    'node_modules/legacy/package.json': '{"name":"legacy"}',
    'node_modules/legacy/index.js': 'exports.value = 7; exports.fail = function () { throw new Error("legacy"); };',
  };
  const source =
    'import { definePlugin } from "@atoll/plugin-sdk"; import legacy from "legacy"; export default definePlugin(() => {}); export const v = legacy.value;';

  it('appear neither in the code nor in the map', async () => {
    await write(hoisted, root);
    const { code, map } = await bundlePlugin(await pluginOf(source));
    const { sources } = JSON.parse(map) as { sources: string[] };
    expect(sources).toEqual(
      expect.arrayContaining(['src/index.ts', 'legacy/index.js', '@atoll/plugin-sdk/src/plugin.ts']),
    );
    for (const text of [code, map]) {
      expect(text).not.toContain(root);
      expect(text).not.toContain(process.cwd());
      expect(text).not.toContain('../..');
    }
    expect(run(code).v).toBe(7);
  });

  it('are left out without moving what the map says', async () => {
    await write(hoisted, root);
    const { code, map } = await bundlePlugin(await pluginOf(source));
    const entry = new SourceMap(JSON.parse(map) as SourceMapPayload).findEntry(0, code.indexOf('new Error("legacy")'));
    expect(entry).toMatchObject({
      originalSource: 'legacy/index.js',
      originalLine: 0,
      originalColumn: hoisted['node_modules/legacy/index.js'].indexOf('new Error'),
    });
  });
});

describe('what does not build says where and why', () => {
  it('a syntax error', async () => {
    expect(await failureOf('export default {\n  a: ,\n};')).toBe('sample: src/index.ts:2:6: Unexpected ","');
  });

  it('a missing package', async () => {
    expect(await failureOf('import "left-pad";')).toBe(
      `sample: src/index.ts:1:8: Could not resolve "left-pad"; install it in the plugin's folder`,
    );
  });

  it('a missing file', async () => {
    expect(await failureOf('import "./gone.js";')).toBe('sample: src/index.ts:1:8: Could not resolve "./gone.js"');
  });

  it('a missing entry', async () => {
    expect(await failureOf({})).toMatch(/^sample: Could not resolve "src\/index.ts"/);
  });

  it.each([
    ['node:fs', 'node:fs does not exist there; use an import for a file of the package'],
    ['fs/promises', 'node:fs/promises does not exist there; use an import'],
    ['node:http', 'node:http does not exist there; use `fetch`, with the origin in `permissions.net`'],
    ['node:sqlite', 'node:sqlite does not exist there; use web APIs'],
  ])('%s, which is Node’s', async (name, text) => {
    expect(await failureOf(`import x from "${name}"; export default x;`)).toContain(
      `src/index.ts:1:15: plugins run in a web-standard isolate: ${text}`,
    );
  });

  it('top-level await', async () => {
    expect(await failureOf('export default await 1;')).toBe(
      'sample: src/index.ts:1:16: top-level await does not work in a plugin; await inside the setup function',
    );
  });

  it('an import by URL', async () => {
    expect(await failureOf('import "https://esm.sh/x";')).toContain('imports by URL do not exist in a plugin');
  });

  it('the test kit and the kernel', async () => {
    expect(await failureOf('import "@atoll/plugin-sdk/testing";')).toContain('is for tests');
    expect(await failureOf('import "@atoll/kernel";')).toContain("belongs to the kernel's process");
  });

  it('a bundle that is too large', async () => {
    expect(
      await failureOf({
        'src/index.ts': 'export { default } from "./big.txt";',
        'src/big.txt': 'x'.repeat(10 * 1024 * 1024),
      }),
    ).toMatch(/^sample: the bundle has \d+ bytes; at most 10485760 are allowed/);
  });

  it('only the first five, with their number', async () => {
    const source = [1, 2, 3, 4, 5, 6, 7].map((at) => `import "missing-${at}";`).join('\n');
    expect(await failureOf(source)).toMatch(/missing-5"; install it in the plugin's folder; and 2 more$/);
  });
});

describe('Node’s modules inside packages', () => {
  const library = (text: string) => ({
    'src/index.ts': 'import lib from "lib"; export default lib;',
    'node_modules/lib/package.json': '{"name":"lib"}',
    'node_modules/lib/index.js': text,
  });

  it('may be tried', async () => {
    const { code } = await bundlePlugin(
      await pluginOf(
        library('try { module.exports = require("fs/promises"); } catch (e) { module.exports = e.message; }'),
      ),
    );
    expect(run(code).default).toMatch(/^plugins run in a web-standard isolate: node:fs\/promises does not exist there/);
  });

  it('may be replaced by packages of the same name', async () => {
    const { code } = await bundlePlugin(
      await pluginOf({
        ...library('module.exports = require("events");'),
        'node_modules/events/package.json': '{"name":"events"}',
        'node_modules/events/index.js': 'module.exports = "package";',
      }),
    );
    expect(run(code).default).toBe('package');
  });

  it('may not be needed', async () => {
    expect(await failureOf(library('import fs from "node:fs"; export default fs;'))).toContain(
      'lib/index.js:1:16: plugins run in',
    );
  });
});

describe('the bundler reads nothing that is not the plugin’s', () => {
  const steal = (file: string) =>
    `import text from ${JSON.stringify(file)} with { type: 'text' }; export default text;`;

  beforeEach(() => write({ 'secret/root.key': 'atoll_secret', 'secret/config.ts': 'export default "secret";' }, root));

  it.each([
    ['an absolute path', () => steal(path.join(root, 'secret/root.key'))],
    ['a path that climbs', () => steal('../../../secret/root.key')],
    ['a path to sources', () => 'export { default } from "../../../secret/config.js";'],
    ['a device', () => steal('/dev/zero')],
  ])('by %s', async (_, source) => {
    expect(await failureOf(source())).toContain("lies outside of the plugin's folder");
  });

  it.each(['src/link.txt', 'node_modules/link'])('by a link at %s', async (at) => {
    const target = at.startsWith('src') ? './link.txt' : 'link/root.key';
    const folder = await pluginOf({ 'src/index.ts': steal(target), 'node_modules/.keep': '' });
    await symlink(path.join(root, at.startsWith('src') ? 'secret/root.key' : 'secret'), path.join(dir, at));
    await expect(bundlePlugin(folder)).rejects.toThrow("root.key lies outside of the plugin's folder");
  });

  it('nor by an entry that is a link', async () => {
    await mkdir(path.join(dir, 'src'), { recursive: true });
    await symlink(path.join(root, 'secret/config.ts'), path.join(dir, 'src/index.ts'));
    expect(await failureOf({})).toContain("config.ts lies outside of the plugin's folder");
  });

  it('nor hidden files of its own folder', async () => {
    expect(await failureOf({ 'src/index.ts': steal('../.atoll/root.key'), '.atoll/root.key': 'x' })).toContain(
      '.atoll/root.key is hidden',
    );
  });

  it('but the plugin’s own text files', async () => {
    const { code } = await bundlePlugin(
      await pluginOf({ 'src/index.ts': steal('./prompt.md'), 'src/prompt.md': 'Be kind.' }),
    );
    expect(run(code).default).toBe('Be kind.');
  });

  it('and a plugin in a folder that is a link itself', async () => {
    await pluginOf('export default 1;');
    await symlink(dir, path.join(root, 'linked'));
    const { map } = await bundlePlugin(await readPluginFolder(path.join(root, 'linked')));
    expect((JSON.parse(map) as { sources: string[] }).sources).toEqual(['src/index.ts']);
  });
});

describe('the cache', () => {
  const cacheDir = () => path.join(root, 'cache');
  const old = new Date(Date.now() - 60_000);
  const age = (...files: string[]) =>
    Promise.all(['package.json', 'src/index.ts', ...files].map((file) => utimes(path.join(dir, file), old, old)));
  /** A mark that only an entry of the cache can carry. */
  async function poison(): Promise<void> {
    const [file] = await readdir(cacheDir());
    const entry = JSON.parse(await readFile(path.join(cacheDir(), file!), 'utf8')) as { bundle: { map: string } };
    entry.bundle.map = 'from the cache';
    await writeFile(path.join(cacheDir(), file!), JSON.stringify(entry));
  }

  it('is used while nothing has changed', async () => {
    const folder = await pluginOf('export default 1;');
    await age();
    const first = await bundlePlugin(folder, { cacheDir: cacheDir() });
    await poison();
    expect(await bundlePlugin(folder, { cacheDir: cacheDir() })).toEqual({ ...first, map: 'from the cache' });
  });

  it('is not used after a change', async () => {
    const folder = await pluginOf('export default 1;');
    await age();
    await bundlePlugin(folder, { cacheDir: cacheDir() });
    await write({ 'src/index.ts': 'export default 2;' });
    expect(run((await bundlePlugin(folder, { cacheDir: cacheDir() })).code).default).toBe(2);
  });

  it('does not keep what changed while it was read', async () => {
    await bundlePlugin(await pluginOf('export default 1;'), { cacheDir: cacheDir() });
    expect(await readdir(cacheDir()).catch(() => [])).toEqual([]);
  });

  it('survives nonsense and a folder that can’t be written', async () => {
    const folder = await pluginOf('export default 1;');
    await age();
    await bundlePlugin(folder, { cacheDir: cacheDir() });
    const [file] = await readdir(cacheDir());
    await writeFile(path.join(cacheDir(), file!), '{"format":');
    expect(run((await bundlePlugin(folder, { cacheDir: cacheDir() })).code).default).toBe(1);
    await write({ blocked: '' }, root);
    expect(run((await bundlePlugin(folder, { cacheDir: path.join(root, 'blocked') })).code).default).toBe(1);
  });
});
