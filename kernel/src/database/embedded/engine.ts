import { readFileSync } from 'node:fs';
import { fsyncSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm';

const extensions = { vector, pg_trgm };

interface StartParams {
  defaultStartParams: string[];
}
interface FileSystems {
  FS: { filesystems: { NODEFS: { stream_ops: { fsync?: (stream: { nfd?: number }) => number } } } };
}

/** An embedded PostgreSQL with its extensions: in a folder, from a template in memory, or new and empty in memory. */
export async function openEngine(options: { dataDir?: string; template?: string }): Promise<PGlite> {
  const { dataDir, template } = options;
  if (dataDir === undefined) {
    const loadDataDir = template === undefined ? undefined : new Blob([readFileSync(template)]);
    return PGlite.create({ extensions, ...(loadDataDir && { loadDataDir }) });
  }
  const db = await PGlite.create({ dataDir, extensions, startParams: durable() });
  syncFiles(db);
  return db;
}

/** By default it is told never to sync (-F): a power cut could then undo what was committed. */
function durable(): string[] {
  const defaults = (PGlite as unknown as StartParams).defaultStartParams.filter((parameter) => parameter !== '-F');
  const settings = ['wal_sync_method=fsync', 'shared_buffers=32MB', 'min_wal_size=32MB', 'max_wal_size=128MB'];
  return [...defaults, ...settings.flatMap((setting) => ['-c', setting])];
}

/** Its file system for folders lacks fsync, so that PostgreSQL's own calls would do nothing. */
function syncFiles(db: PGlite): void {
  (db as unknown as { Module: FileSystems }).Module.FS.filesystems.NODEFS.stream_ops.fsync = ({ nfd }) => {
    if (nfd !== undefined) fsyncSync(nfd);
    return 0;
  };
}
