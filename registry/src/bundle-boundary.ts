import { realpath } from 'node:fs/promises';
import path from 'node:path';
import type { OnLoadResult, OnResolveArgs, OnResolveResult, Plugin } from 'esbuild';
import { withoutForeignMap } from './bundle-map-comment.js';
import type { BundleScope } from './bundle-scope.js';
import { within } from './package-paths.js';
import { whyUnreadable } from './regular-file.js';

/** More than any honest source or data of a plugin, and little enough to read. */
export const MAX_INPUT_BYTES = 32 * 1024 * 1024;

const INSTEAD =
  'copy it in, install it as a package (`npm install --install-links` for a folder), or call a service of the plugin it belongs to';

const outside = (file: string): string => `${path.basename(file)} lies outside of the plugin's folder; ${INSTEAD}`;

/** Refuses what is not in the scope, by whatever way an import leads there, and what can't be read to its end. */
export function boundary(scope: BundleScope): Plugin {
  return {
    name: 'boundary',
    setup(builder) {
      builder.onResolve({ filter: /^(\.\.?(\/|$)|\/|[a-z]:[\\/])/i }, (args) => refusePath(scope, args));
      builder.onResolve({ filter: /^[^./]/ }, async ({ path: name, resolveDir }) => {
        await scope.admit(name, resolveDir);
        return undefined;
      });
      builder.onLoad({ filter: /.*/, namespace: 'file' }, ({ path: file }) => load(scope, file));
    },
  };
}

/** A path may not lead out of where it stands, even to what could be had by name: that depends on where the plugin lies. */
function refusePath(scope: BundleScope, { path: to, resolveDir, kind }: OnResolveArgs): OnResolveResult | undefined {
  if (kind === 'entry-point') return undefined;
  const home = scope.homeOf(resolveDir);
  const target = path.resolve(resolveDir, to);
  return target === home || within(home, target) !== undefined ? undefined : { errors: [{ text: outside(target) }] };
}

async function load(scope: BundleScope, file: string): Promise<OnLoadResult | undefined> {
  // Looking at each of its hundreds of files would take longer than all the rest.
  if (scope.isInstallations(file)) return undefined;
  const text = await whyRefused(scope, file);
  return text === undefined ? withoutForeignMap(scope, file) : { errors: [{ text }] };
}

async function whyRefused(scope: BundleScope, file: string): Promise<string | undefined> {
  const real = await realpath(file);
  if (!(await scope.mayRead(real))) {
    const own = within(scope.dir, real);
    return own === undefined
      ? outside(real)
      : `${own} is hidden (a part of its path starts with a dot) and can't be bundled`;
  }
  const why = await whyUnreadable(real, MAX_INPUT_BYTES);
  return why && `${scope.publicName(real)} ${why} and can't be bundled`;
}
