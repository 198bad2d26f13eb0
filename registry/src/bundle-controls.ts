import type { Dirent } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { within } from './package-paths.js';

/** Files that esbuild reads of its own accord wherever an import leads, without asking any of its plugins. */
const CONTROLS = new Set(['package.json', '.pnp.data.json', '.pnp.cjs', '.pnp.js']);

/** Why the folder is not to be bundled: one of those files is a pipe or a device, or a link to a file that is not the plugin's. */
export async function controlProblem(dir: string): Promise<string | undefined> {
  const folders = [dir];
  for (const folder of folders) {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) {
      const file = path.join(folder, entry.name);
      if (entry.isDirectory()) folders.push(file);
      else if (CONTROLS.has(entry.name) && !(await isPlain(dir, file, entry)))
        return `${within(dir, file)} is no regular file of the plugin's folder; put a copy in its place`;
    }
  }
  return undefined;
}

async function isPlain(dir: string, file: string, entry: Dirent): Promise<boolean> {
  if (!entry.isSymbolicLink()) return entry.isFile();
  const real = await realpath(file).catch(() => undefined);
  // A link to nothing is as good as no file.
  if (real === undefined) return true;
  return within(dir, real) !== undefined && (await stat(real)).isFile();
}
