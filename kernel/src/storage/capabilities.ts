import type { Database } from '../database/index.js';

/** Whether the database has pgvector (0.8 or newer); tries to bring it in when it is merely not enabled. */
export async function hasVectors(database: Database): Promise<boolean> {
  const [found] = await database.query<{ installed: string | null; available: string | null }>(
    "select installed_version as installed, default_version as available from pg_available_extensions where name = 'vector'",
  );
  if (!found) return false;
  if (found.installed !== null) return atLeast(found.installed);
  if (found.available === null || !atLeast(found.available)) return false;
  // Not everybody may create extensions; then it is as if it were not there.
  return database.query('create extension if not exists vector').then(
    () => true,
    () => false,
  );
}

/** Iterative scans, without which filtered searches find too little, came with 0.8. */
function atLeast(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major > 0 || minor >= 8;
}
