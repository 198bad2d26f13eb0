import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { PackageFiles } from '../package/tarball.js';
import { asStoreError } from './write-durably.js';

/** Makes a folder hold these files. One that does already is left alone; any other is replaced as a whole. */
export async function unpackInto(dir: string, files: PackageFiles, drafts: string): Promise<void> {
  if (await holds(dir, files)) return;
  const draft = path.join(drafts, randomBytes(12).toString('hex'));
  try {
    for (const [file, content] of files) {
      await mkdir(path.dirname(path.join(draft, file)), { recursive: true });
      await writeFile(path.join(draft, file), content, { flag: 'wx', mode: 0o444 });
    }
    await mkdir(path.dirname(dir), { recursive: true });
    await rm(dir, { recursive: true, force: true });
    await rename(draft, dir);
  } catch (error) {
    await rm(draft, { recursive: true, force: true }).catch(() => {});
    throw asStoreError(error);
  }
}

async function holds(dir: string, files: PackageFiles): Promise<boolean> {
  const same = [...files].map(async ([file, content]) =>
    content.equals(await readFile(path.join(dir, file)).catch(() => Buffer.from('absent'))),
  );
  return (await Promise.all(same)).every(Boolean);
}
