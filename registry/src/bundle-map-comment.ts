import { existsSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { OnLoadResult } from 'esbuild';
import type { BundleScope } from './bundle-scope.js';
import { whyUnreadable } from './regular-file.js';

const CODE = /\.([cm]?[jt]sx?|css)$/;
const COMMENT = /([#@]\s*sourceMapping)URL=(\S+)/g;
const MAX_MAP_BYTES = 32 * 1024 * 1024;

/**
 * esbuild opens whatever file a `sourceMappingURL` comment names, a device as well. A comment that leads to what the plugin may not read is
 * made void; undefined when all is well.
 */
export async function withoutForeignMap(scope: BundleScope, file: string): Promise<OnLoadResult | undefined> {
  if (!CODE.test(file)) return undefined;
  const text = await readFile(file, 'utf8');
  const targets = new Set([...text.matchAll(COMMENT)].map((match) => match[2]!));
  const foreign = new Set<string>();
  for (const target of targets) if (await isForeign(scope, file, target)) foreign.add(target);
  if (foreign.size === 0) return undefined;
  const contents = text.replace(COMMENT, (whole, begin: string, target: string) =>
    foreign.has(target) ? `${begin}Off=${target}` : whole,
  );
  return { contents, loader: 'default' };
}

async function isForeign(scope: BundleScope, file: string, target: string): Promise<boolean> {
  if (target.startsWith('data:')) return false;
  for (const place of placesOf(file, target.replace(/\*\/$/, ''))) {
    // What does not exist does no harm, and may be no comment but text in the code.
    if (!existsSync(place)) continue;
    const real = await realpath(place);
    if (!(await scope.mayRead(real)) || (await whyUnreadable(real, MAX_MAP_BYTES)) !== undefined) return true;
  }
  return false;
}

/** As a path and as a URL: which of them esbuild takes is its business. */
function placesOf(file: string, target: string): string[] {
  const asPath = path.resolve(path.dirname(file), target);
  try {
    return [asPath, fileURLToPath(new URL(target, pathToFileURL(file)))];
  } catch {
    return [asPath];
  }
}
