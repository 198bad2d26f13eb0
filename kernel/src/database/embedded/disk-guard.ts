import { statfsSync } from 'node:fs';

/**
 * Free bytes below which nothing is written any more. PostgreSQL ends when it can't have the next file of its log, which takes 16 MiB;
 * a refused write is the better answer, and reading goes on.
 */
const TOO_LITTLE = 33_554_432;
const ENOUGH = 41_943_040;
const EVERY_MS = 250;

/** Whether the disk of a folder has too little space left to write to. A folder that can't be looked at counts as one with space. */
export function isDiskFull(folder: string, limit = TOO_LITTLE): boolean {
  try {
    const { bavail, bsize } = statfsSync(folder);
    return bavail * bsize < limit;
  } catch {
    return false;
  }
}

/** Tells whenever the disk of a folder becomes too full to write to, and when there is space again. */
export function watchDisk(folder: string, onChange: (full: boolean) => void): void {
  let full = false;
  const look = () => {
    const now = isDiskFull(folder, full ? ENOUGH : TOO_LITTLE);
    if (now !== full) onChange(now);
    full = now;
  };
  look();
  setInterval(look, EVERY_MS).unref();
}
