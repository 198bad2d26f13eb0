import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';

/**
 * Replaces a file as a whole: after a crash at any moment there is the old content or the new one, and when this resolves
 * the new one survives a loss of power. `drafts` is a folder of the same file system.
 */
export async function writeDurably(file: string, content: Uint8Array, drafts: string): Promise<void> {
  const draft = path.join(drafts, randomBytes(12).toString('hex'));
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeSynced(draft, content);
    await rename(draft, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(draft, { force: true }).catch(() => {});
    throw asStoreError(error);
  }
}

async function writeSynced(file: string, content: Uint8Array): Promise<void> {
  await using handle = await open(file, 'wx', 0o644);
  await handle.writeFile(content);
  await handle.sync();
}

/** Makes what was renamed or removed in a folder last. */
export async function syncFolder(folder: string): Promise<void> {
  await using handle = await open(folder, 'r');
  await handle.sync();
}

const UNWRITABLE = ['ENOSPC', 'EDQUOT', 'EFBIG', 'EROFS', 'EACCES', 'EPERM', 'EMFILE', 'EIO', 'ENOTDIR', 'EEXIST'];

/** STORE_UNWRITABLE for what an operator has to clear up; other errors stay as they are. */
export function asStoreError(error: unknown): unknown {
  const { code, message } = error as NodeJS.ErrnoException;
  return code !== undefined && UNWRITABLE.includes(code)
    ? new AtollError('STORE_UNWRITABLE', `The plugin store can't be written: ${message}.`, {}, { cause: error })
    : error;
}
