import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { build, type Plugin, transform } from 'esbuild';
import { KERNEL_ROOT } from './paths.js';

const SANDBOX = path.join(KERNEL_ROOT, 'src/sandbox');
const SHIMS = path.join(SANDBOX, 'guest/shims');

/** Bundles the guest's runtime and web APIs into one script. `inputs` are the files it was made of. */
export async function bundlePrelude(): Promise<{ code: string; inputs: string[] }> {
  const result = await build({
    entryPoints: [path.join(SANDBOX, 'guest/main.ts')],
    bundle: true,
    write: false,
    metafile: true,
    format: 'iife',
    platform: 'neutral',
    target: 'es2022',
    minify: true,
    keepNames: false,
    // One character beyond Latin-1 would double what the source takes in every isolate.
    charset: 'ascii',
    absWorkingDir: KERNEL_ROOT,
    // @exodus/bytes assumes a native TextEncoder under `browser`; its React Native build brings its own.
    conditions: ['react-native'],
    mainFields: ['module', 'main'],
    inject: [path.join(SHIMS, 'globals.ts')],
    // Strict code hides its functions and `this` from a guest's Error.prepareStackTrace.
    banner: { js: '"use strict";' },
    plugins: [shims, loweredAsync],
    logLevel: 'silent',
  });
  const inputs = Object.keys(result.metafile.inputs).map((file) => path.resolve(KERNEL_ROOT, file));
  return { code: result.outputFiles[0]!.text, inputs };
}

const UTF8_PERCENT_ENCODING = `
import { utf8fromStringLoose } from './utf8.js';
import { percentEncoder } from './fallback/percent.js';
export function percentEncodeAfterEncoding(encoding, input, percentEncodeSet, spaceAsPlus = false) {
  return percentEncoder(percentEncodeSet, spaceAsPlus)(utf8fromStringLoose(input));
}`;

const shims: Plugin = {
  name: 'prelude-shims',
  setup(builder) {
    builder.onResolve({ filter: /^node:/ }, () => ({ path: path.join(SHIMS, 'node.ts') }));
    builder.onResolve({ filter: /^tr46$/ }, () => ({ path: path.join(SHIMS, 'tr46.ts') }));
    builder.onResolve({ filter: /^\.\/url-state-machine$/ }, () => ({
      path: path.join(SHIMS, 'url-state-machine.ts'),
    }));
    builder.onResolve({ filter: /^node-domexception$/ }, () => ({ path: path.join(SHIMS, 'dom-exception.ts') }));
    // As CommonJS they stay functions that are not called before they are needed; of an ES module all functions exist at once.
    builder.onResolve({ filter: /^(web-streams-polyfill|urlpattern-polyfill\/urlpattern)$/ }, ({ path: name }) => ({
      path: createRequire(import.meta.url).resolve(name),
    }));
    // URLs are UTF-8 here: the legacy multi-byte tables (400 KB) would only serve forms in documents.
    builder.onResolve({ filter: /^@exodus\/bytes\/encoding\.js$/ }, ({ resolveDir, kind }) =>
      builder.resolve('@exodus/bytes/encoding-lite.js', { resolveDir, kind }),
    );
    builder.onLoad({ filter: /@exodus[\\/]bytes[\\/]whatwg\.js$/ }, () => ({
      contents: UTF8_PERCENT_ENCODING,
      loader: 'js',
    }));
    // fetch-blob loads Node's streams at its top level; guests have web streams already.
    builder.onLoad({ filter: /fetch-blob[\\/]index\.js$/ }, async ({ path: file }) => ({
      contents: (await readFile(file, 'utf8')).replace(/^if \(!globalThis\.ReadableStream\) \{[\s\S]*?\n\}\n/m, ''),
      loader: 'js',
    }));
    builder.onLoad({ filter: /fetch-blob[\\/]from\.js$/ }, () => ({ contents: 'export {}', loader: 'js' }));
  },
};

/**
 * As in plugins' bundles: what the runtime does after an `await` still belongs to the call that it was made for. The rest stays as
 * it is: some of it looks at what a native async generator is.
 */
const loweredAsync: Plugin = {
  name: 'lowered-async',
  setup(builder) {
    builder.onLoad(
      { filter: /[\\/]guest[\\/](runtime[\\/].*|web[\\/](fetch|crypto|compression|integrity))\.ts$/ },
      async ({ path: file }) => {
        const { code } = await transform(await readFile(file, 'utf8'), {
          loader: 'ts',
          format: 'esm',
          target: 'es2022',
          sourcefile: file,
          tsconfigRaw: { compilerOptions: { verbatimModuleSyntax: true } },
          supported: { 'async-await': false, 'async-generator': false, 'for-await': false },
        });
        return { contents: code, loader: 'js' };
      },
    );
  },
};
