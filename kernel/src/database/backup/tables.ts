import type { Database } from '../database.js';

/**
 * A table whose rows a backup has: not a partition of another, not an extension's, not the list of migrations. Nor the job queue's: its
 * library makes and migrates its tables itself, and what ran before a restore must not run again. Nor what nodes tell each other.
 */
export interface TableInfo {
  /** With its schema, quoted where it has to be. */
  name: string;
  columns: { name: string; type: string }[];
}

/** Columns of documents' tables that are made from the documents; they are made again where these are restored. */
const DERIVED = /^[tv]_/;

/** The kernel's own come first: they tell of all others. */
export async function listTables(database: Database): Promise<TableInfo[]> {
  const rows = await database.query<{ name: string; schema: string; column: string; type: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name, n.nspname as schema, a.attname as column,
            format_type(a.atttypid, a.atttypmod) as type
       from pg_class c
       join pg_namespace n on n.oid = c.relnamespace
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = ''
      where c.relkind in ('r', 'p') and not c.relispartition and c.relpersistence = 'p'
        and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast', 'pgboss', 'cluster')
        and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e')
        and c.relname <> 'atoll_migration'
      order by n.nspname <> 'public', n.nspname, c.relname, a.attnum`,
  );
  const tables = new Map<string, TableInfo>();
  for (const { name, schema, column, type } of rows) {
    if (schema === 'plugin_data' && DERIVED.test(column)) continue;
    const table = tables.get(name) ?? { name, columns: [] };
    tables.set(name, table);
    table.columns.push({ name: column, type });
  }
  return [...tables.values()];
}
