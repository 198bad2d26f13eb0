import { rename, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { DataDirLock } from '../embedded/data-dir-lock.js';

/**
 * Makes a new embedded database beside the present one and puts it in its place when it is complete. The old folder is kept, under
 * another name: what was wrong with it may be of interest. Resolves with that name, if there was one. Throws DATABASE_LOCKED.
 */
export async function replaceDataDir(
  dataDir: string,
  fill: (newDir: string) => Promise<void>,
): Promise<string | undefined> {
  const lock = DataDirLock.acquire(`${dataDir}.lock`);
  const draft = `${dataDir}.restore`;
  try {
    await rm(draft, { recursive: true, force: true });
    await fill(draft);
    const kept = existsSync(dataDir)
      ? `${dataDir}.before-${new Date().toISOString().replace(/[:.]/g, '-')}`
      : undefined;
    if (kept !== undefined) await rename(dataDir, kept);
    await rename(draft, dataDir);
    return kept;
  } finally {
    await rm(draft, { recursive: true, force: true });
    await rm(`${draft}.lock`, { force: true });
    lock.release();
  }
}
