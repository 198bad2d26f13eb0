import { cpSync, existsSync } from 'node:fs';
import { chmod, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AtollError } from '@atoll/plugin-sdk/contract';

/** What a new database begins as: without tables, or with those of the kernel. */
export type Template = 'empty' | 'migrated';

/** A data directory that the build step has prepared: initialising a new one would take five seconds and a gigabyte. */
export const templateFolder = (template: Template): string =>
  fileURLToPath(new URL(`../../../dist/database/template-${template}`, import.meta.url));
/** The same as a gzipped tar, for databases in memory. */
export const templateArchive = (template: Template): string => `${templateFolder(template)}.tgz`;

/** Major version of PostgreSQL in the embedded engine: data of another one can't be read. */
const MAJOR = '18';

/**
 * Makes sure that the folder holds a database: a new one is copied beside it and renamed, so that a start that is cut off leaves
 * nothing half done. What is there already is never overwritten. Throws DATABASE_CORRUPT when it is no database of this version.
 */
export async function prepareDataDir(dataDir: string, template: Template): Promise<void> {
  const found = await readdir(dataDir).catch(() => []);
  if (found.length > 0) return assertDatabase(dataDir);
  const draft = `${dataDir}.new`;
  await rm(draft, { recursive: true, force: true });
  // At once: a thousand small files one after the other take five times as long, and nothing else could begin without them.
  cpSync(templateFolder(template), draft, { recursive: true });
  await chmod(draft, 0o700);
  await syncAll(draft);
  await rm(dataDir, { recursive: true, force: true });
  await rename(draft, dataDir);
  await sync(path.dirname(dataDir));
}

async function assertDatabase(dataDir: string): Promise<void> {
  const version = (await readFile(path.join(dataDir, 'PG_VERSION'), 'utf8').catch(() => '')).trim();
  if (version === MAJOR && existsSync(path.join(dataDir, 'global/pg_control'))) return;
  const what =
    version === '' || version === MAJOR ? 'is no complete database' : `is of PostgreSQL ${version}, not ${MAJOR}`;
  throw new AtollError('DATABASE_CORRUPT', `${dataDir} ${what}. Nothing was changed.`);
}

/** The engine syncs only what it writes itself: without this, a power cut after the rename could leave empty files. */
async function syncAll(folder: string): Promise<void> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  await Promise.all(entries.map((entry) => sync(path.join(entry.parentPath, entry.name))));
  await sync(folder);
}

async function sync(file: string): Promise<void> {
  const handle = await open(file);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
