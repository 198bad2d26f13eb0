import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database.js';
import { MIGRATIONS } from '../migrations/index.js';
import type { BackupSummary } from './dump.js';
import { type Head, invalid, readBackup, type RowLine, type TableLine } from './format.js';
import { listTables, type TableInfo } from './tables.js';

/** Makes tables that no migration makes, when the rows that tell of them are there. */
export type TableMaker = (database: Database) => Promise<void>;

const BATCH_ROWS = 500;
const BATCH_BYTES = 4_194_304;
const LIMIT_MS = 3_600_000;

/** Reads a backup through, so that nothing is begun with one that is broken. Throws BACKUP_INVALID or DATABASE_NEWER. */
export async function verifyBackup(file: string): Promise<Head & BackupSummary> {
  let head: Head | undefined;
  const summary: BackupSummary = { tables: 0, rows: 0 };
  for await (const line of readBackup(file)) {
    if ('head' in line) head = line.head;
    else if ('end' in line) Object.assign(summary, { tables: line.end.tables, rows: line.end.rows });
  }
  if (!head) throw invalid('it is empty');
  const unknown = head.migrations.filter((name) => !MIGRATIONS.some((known) => known.name === name));
  if (unknown.length > 0)
    throw new AtollError(
      'DATABASE_NEWER',
      `The backup is of a newer version: ${unknown.join(', ')} are not known here.`,
    );
  return { ...head, ...summary };
}

/**
 * Fills an empty database with a backup: migrated to where the backup was, filled in one transaction, then migrated to the end. Tables
 * of documents are made between the kernel's own tables and theirs.
 */
export async function restoreInto(database: Database, file: string, makeTables: TableMaker): Promise<BackupSummary> {
  const { migrations, ...summary } = await verifyBackup(file);
  const runner = await database.migrations();
  const { executed } = await runner.status();
  if (executed.length > 0) throw new AtollError('CONFLICT', 'The database to restore into is not empty.');
  await runner.upTo(migrations);
  await database.transaction(() => load(database, file, makeTables), { timeoutMs: LIMIT_MS });
  await runner.up();
  return { tables: summary.tables, rows: summary.rows };
}

async function load(database: Database, file: string, makeTables: TableMaker): Promise<void> {
  const constraints = await dropForeignKeys(database);
  let known = byName(await listTables(database));
  // Rows that migrations have made are in the backup as well.
  if (known.size > 0) await database.query(`truncate ${[...known.keys()].join(', ')}`);
  let made = false;
  let current: Filler | undefined;
  for await (const line of readBackup(file)) {
    if ('table' in line) {
      await current?.flush();
      // The first that no migration has made: by now the rows are there that tell of it.
      if (!known.has(line.table.table) && !made) {
        made = true;
        await makeTables(database);
        known = byName(await listTables(database));
      }
      current = new Filler(database, line.table, known.get(line.table.table));
    } else if ('row' in line) await current!.add(line.row);
    else if ('end' in line) await current?.flush();
  }
  for (const { table, name, definition } of constraints)
    await database.query(`alter table ${table} add constraint ${name} ${definition}`);
  await advanceSequences(database);
}

const byName = (tables: TableInfo[]): Map<string, TableInfo> => new Map(tables.map((table) => [table.name, table]));

/** Inserts the rows of one table, many at a time. */
class Filler {
  #rows: RowLine[] = [];
  #bytes = 0;
  readonly #insert: string;

  constructor(
    private readonly database: Database,
    { table, columns }: TableLine,
    known: TableInfo | undefined,
  ) {
    const types = columns.map((column) => known?.columns.find(({ name }) => name === column)?.type);
    const missing = columns.filter((_, at) => types[at] === undefined);
    if (missing.length > 0)
      throw new AtollError('BACKUP_INVALID', `This version has no place for ${table} (${missing.join(', ')}).`);
    const names = columns.map((column) => `"${column.replaceAll('"', '""')}"`);
    const values = names.map((name, at) => `${name}::${types[at]}`);
    const arrays = columns.map((_, at) => `$${at + 1}::text[]`);
    this.#insert = `insert into ${table} (${names.join(', ')}) overriding system value
      select ${values.join(', ')} from unnest(${arrays.join(', ')}) as given (${names.join(', ')})`;
  }

  async add(row: RowLine): Promise<void> {
    this.#rows.push(row);
    this.#bytes += row.reduce((sum, value) => sum + (value?.length ?? 0), 0);
    if (this.#rows.length >= BATCH_ROWS || this.#bytes >= BATCH_BYTES) await this.flush();
  }

  async flush(): Promise<void> {
    if (this.#rows.length === 0) return;
    const columns = this.#rows[0]!.map((_, at) => this.#rows.map((row) => row[at]));
    this.#rows = [];
    this.#bytes = 0;
    await this.database.query(this.#insert, columns);
  }
}

interface Constraint {
  table: string;
  name: string;
  definition: string;
}

/** Rows come table by table, so what refers to others may come before them. */
async function dropForeignKeys(database: Database): Promise<Constraint[]> {
  const constraints = await database.query<Constraint>(
    `select conrelid::regclass::text as table, quote_ident(conname) as name, pg_get_constraintdef(oid) as definition
       from pg_constraint where contype = 'f' and conparentid = 0`,
  );
  for (const { table, name } of constraints) await database.query(`alter table ${table} drop constraint ${name}`);
  return constraints;
}

/** What is numbered goes on behind the highest number that came in. */
async function advanceSequences(database: Database): Promise<void> {
  const columns = await database.query<{ table: string; column: string; sequence: string }>(
    `select format('%I.%I', n.nspname, c.relname) as table, quote_ident(a.attname) as column,
            pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) as sequence
       from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid
      where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped and n.nspname not in ('pg_catalog', 'information_schema')
        and pg_get_serial_sequence(format('%I.%I', n.nspname, c.relname), a.attname) is not null`,
  );
  for (const { table, column, sequence } of columns)
    await database.query(`select setval($1::regclass, coalesce(max(${column}), 0) + 1, false) from ${table}`, [
      sequence,
    ]);
}
