import type { Database } from '../database.js';
import type { MigrationStatus } from '../migrate.js';
import { listTables } from './tables.js';

export interface CheckReport {
  engine: Database['engine'];
  /** Of the server. */
  version: string;
  /** Of the whole database on disk. */
  bytes: number;
  migrations: MigrationStatus;
  tables: { name: string; rows: number; bytes: number }[];
  /** What is wrong, in words; empty when all is well. */
  problems: string[];
}

/** Reads everything there is, and looks for what does not fit together. Changes nothing. */
export async function checkDatabase(database: Database): Promise<CheckReport> {
  const problems: string[] = [];
  const migrations = await (await database.migrations()).status();
  if (migrations.pending.length > 0) problems.push(`Migrations are pending: ${migrations.pending.join(', ')}.`);
  const tables: CheckReport['tables'] = [];
  for (const { name, columns } of await listTables(database)) {
    try {
      // The length of a value is known only when all of it has been read.
      const lengths = columns
        .map((column) => `coalesce(length("${column.name.replaceAll('"', '""')}"::text), 0)`)
        .join(' + ');
      const [row] = await database.query<{ rows: string; bytes: string }>(
        `select count(*)::text as rows, coalesce(sum(${lengths}), 0)::text as read, pg_total_relation_size($1::regclass)::text as bytes from ${name}`,
        [name],
      );
      tables.push({ name, rows: Number(row!.rows), bytes: Number(row!.bytes) });
    } catch (error) {
      problems.push(`${name} can't be read: ${(error as Error).message}.`);
    }
  }
  problems.push(
    ...(await structuralProblems(
      database,
      tables.map(({ name }) => name),
    )),
  );
  const [server] = await database.query<{ version: string; bytes: string }>(
    `select current_setting('server_version') as version, pg_database_size(current_database())::text as bytes`,
  );
  return {
    engine: database.engine,
    version: server!.version,
    bytes: Number(server!.bytes),
    migrations,
    tables,
    problems,
  };
}

async function structuralProblems(database: Database, tables: readonly string[]): Promise<string[]> {
  const invalid = await database.query<{ name: string }>(
    'select indexrelid::regclass::text as name from pg_index where not indisvalid',
  );
  const problems = invalid.map(({ name }) => `The index ${name} is not valid.`);
  if (!tables.includes('public.storage_collection')) return problems;
  const orphans = await database.query<{ problem: string }>(
    `select format('The collection %s of the plugin %s has no table.', name, plugin) as problem
       from storage_collection where to_regclass('plugin_data.c' || id) is null
     union all
     select format('The table %I belongs to no collection.', relname) from pg_class
      where relnamespace = 'plugin_data'::regnamespace and relkind = 'r'
        and not exists (select 1 from storage_collection where 'c' || id = relname)
     union all
     select format('The blob %s of the plugin %s is not complete.', sha256, plugin) from storage_blob as b
      where size <> (select coalesce(sum(length(bytes)), 0) from storage_blob_chunk as c where c.upload = b.upload)`,
  );
  return [...problems, ...orphans.map(({ problem }) => problem)];
}
