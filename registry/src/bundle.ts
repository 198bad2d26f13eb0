import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type BuildFailure, type BuildOptions, build, type Message, type Metafile, transform } from 'esbuild';
import { boundary } from './bundle-boundary.js';
import { BundleCache, sha256 } from './bundle-cache.js';
import { controlProblem } from './bundle-controls.js';
import { noUrls, nodeBuiltins, ownPackages } from './bundle-resolve.js';
import { BundleScope } from './bundle-scope.js';
import { type OwnTsconfig, readOwnTsconfig } from './bundle-tsconfig.js';
import { BuildTooLong, withBundler } from './bundler-process.js';
import type { PluginFolder } from './folder.js';
import { FORMAT_KEY } from './package/layout.js';
import { PACKAGE_LIMITS } from './package/limits.js';
import { readPackedBundle } from './package/packed-bundle.js';
import { slimType } from './slim-type.js';

/** One script that assigns the entry's exports to `globalThis.__atollPlugin`, and its source map. */
export interface PluginBundle {
  code: string;
  /** Source map, JSON; its sources are named relative to the plugin, or as in an import. */
  map: string;
  /** sha256 of the code, hex. */
  hash: string;
  /** Size of the code. */
  bytes: number;
  /** Absolute paths of the files it was made of: what to watch. */
  inputs: string[];
  /** Absolute paths of the files of which something is left in the code. */
  contents: string[];
}

export interface BundleOptions {
  /** Keeps bundles between runs, by the sizes and times of their inputs. */
  cacheDir?: string;
  /** How long it may take, in ms; a minute when left out. */
  limitMs?: number;
}

const MAX_BYTES = PACKAGE_LIMITS.bundleBytes;
/** Names of inputs that are no files, such as `absent-builtin:fs` and `(disabled):node_modules/x`. */
const VIRTUAL = /^[^/]*:/;

/**
 * Bundles a plugin for the isolate; a package brings its bundle. Throws BUNDLE_FAILED with the position in the author's
 * source, and what `readPackedBundle` throws.
 */
export async function bundlePlugin(
  folder: PluginFolder,
  { cacheDir, limitMs }: BundleOptions = {},
): Promise<PluginBundle> {
  if (Object.hasOwn(folder.packageJson, FORMAT_KEY)) return readPackedBundle(folder.dir);
  const cache = cacheDir === undefined ? undefined : new BundleCache(cacheDir, folder.dir);
  const cached = await cache?.read();
  if (cached) return cached;
  const began = Date.now();
  const bundle = await withBundler(() => makeBundle(folder), limitMs).catch((error: unknown) => {
    throw error instanceof BuildTooLong ? new AtollError('BUNDLE_FAILED', tookTooLong(folder.manifest.id)) : error;
  });
  await cache?.write(bundle, began);
  return bundle;
}

function optionsFor(scope: BundleScope, entry: string, { raw }: OwnTsconfig) {
  const { dir } = scope;
  return {
    entryPoints: [path.join(dir, entry)],
    absWorkingDir: dir,
    bundle: true,
    write: false,
    outfile: 'plugin.js',
    metafile: true,
    format: 'iife',
    globalName: '__atollPlugin',
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser', 'import'],
    target: 'es2022',
    // Async functions become generators over promises: the guest runtime carries the current call along by wrapping
    // `Promise.prototype.then`, and a native `await` would not go through it.
    supported: { 'async-await': false, 'async-generator': false, 'for-await': false },
    sourcemap: 'external',
    sourcesContent: false,
    minifySyntax: true,
    minifyWhitespace: true,
    keepNames: true,
    charset: 'utf8',
    define: { 'process.env.NODE_ENV': '"production"' },
    tsconfigRaw: raw,
    plugins: [ownPackages, nodeBuiltins, noUrls, boundary(scope), slimType],
    logLevel: 'silent',
    logLimit: MAX_TOLD,
  } as const satisfies BuildOptions;
}

async function makeBundle({ dir, manifest }: PluginFolder): Promise<PluginBundle> {
  const scope = new BundleScope(await realpath(dir));
  try {
    const problem = await controlProblem(scope.dir);
    if (problem !== undefined) throw new AtollError('BUNDLE_FAILED', `${manifest.id}: ${problem}`);
    const tsconfig = await readOwnTsconfig(scope.dir, manifest.id);
    const { outputFiles, metafile } = await build(optionsFor(scope, manifest.entry, tsconfig));
    const file = (name: string) => outputFiles.find((output) => path.basename(output.path) === name)!.text;
    const names = Object.keys(metafile.inputs);
    const map = publicMap(scope, file('plugin.js.map'));
    const script = await withoutHostPaths(scope, { code: file('plugin.js'), map }, names);
    const bytes = Buffer.byteLength(script.code);
    if (bytes > MAX_BYTES) throw new AtollError('BUNDLE_FAILED', tooLarge(manifest.id, bytes));
    const filesOf = (some: string[]) =>
      some.filter((name) => !VIRTUAL.test(name)).map((name) => path.resolve(scope.dir, name));
    return {
      ...script,
      hash: sha256(script.code),
      bytes,
      inputs: [...filesOf(names), path.join(dir, 'package.json'), ...tsconfig.files],
      contents: filesOf(contributing(metafile)),
    };
  } catch (error) {
    throw toBundleError(manifest.id, scope, error);
  }
}

/** Inputs of which the tree shaking left something. */
const contributing = ({ outputs }: Metafile): string[] =>
  Object.values(outputs).flatMap(({ inputs }) => Object.keys(inputs).filter((name) => inputs[name]!.bytesInOutput > 0));

type Script = Pick<PluginBundle, 'code' | 'map'>;

/**
 * esbuild names CommonJS modules of packages by their path, as keys such as `"../../x/node_modules/y/index.js"(exports)`.
 * Blanks keep the length, so that the source map stays true; then they are taken out together with what the map says of
 * them, so that the same plugin gives the same bytes wherever it lies.
 */
async function withoutHostPaths(scope: BundleScope, { code, map }: Script, names: readonly string[]): Promise<Script> {
  const outside = names.filter((name) => name.startsWith('..'));
  const renamed = outside.reduce((text, name) => {
    const key = JSON.stringify(name);
    return text.replaceAll(`${key}(`, () => `${JSON.stringify(scope.publicName(name)).padEnd(key.length)}(`);
  }, code);
  if (renamed === code) return { code, map };
  const inlineMap = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(map).toString('base64')}`;
  return transform(`${renamed}\n${inlineMap}`, {
    minifyWhitespace: true,
    sourcemap: 'external',
    sourcesContent: false,
    charset: 'utf8',
    logLevel: 'silent',
  });
}

function publicMap(scope: BundleScope, map: string): string {
  const parsed = JSON.parse(map) as { sources: string[] };
  return JSON.stringify({ ...parsed, sources: parsed.sources.map((source) => scope.publicName(source)) });
}

const tookTooLong = (id: string): string =>
  `${id}: the build took too long and was given up. Look for files that can't be read to their end, or leave out what it does not use.`;

const tooLarge = (id: string, bytes: number): string =>
  `${id}: the bundle has ${bytes} bytes; at most ${MAX_BYTES} are allowed. ` +
  'Leave out what it does not use, or fetch large data at run time.';

/** After that many errors the first ones are what helps. */
const MAX_TOLD = 5;

function toBundleError(id: string, scope: BundleScope, error: unknown): AtollError {
  if (error instanceof AtollError) return error;
  const { errors = [] } = error as Partial<BuildFailure>;
  const told = errors.slice(0, MAX_TOLD).map((message) => describe(scope, message));
  const more = errors.length > MAX_TOLD ? `; and ${errors.length - MAX_TOLD} more` : '';
  return new AtollError('BUNDLE_FAILED', `${id}: ${told.join('; ') || String(error)}${more}`);
}

function describe(scope: BundleScope, { text, location }: Message): string {
  const clear = explain(text);
  return location
    ? `${scope.publicName(location.file)}:${location.line}:${location.column + 1}: ${clear}`
    : clear.replaceAll(`${scope.dir}${path.sep}`, '');
}

function explain(text: string): string {
  if (/Top-level await/i.test(text))
    return 'top-level await does not work in a plugin; await inside the setup function';
  const missing = /^Could not resolve "([^"./][^"]*)"$/.exec(text)?.[1];
  return missing === undefined ? text : `${text}; install it in the plugin's folder`;
}
