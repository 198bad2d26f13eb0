import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Database } from '../database.js';
import type { End, Head, RowLine, TableLine } from './format.js';
import { listTables, type TableInfo } from './tables.js';

export interface BackupSummary {
  tables: number;
  rows: number;
}

/** Rows of one step: few, because a row may hold a quarter of a megabyte. */
const STEP = 50;
const LIMIT_MS = 3_600_000;

/**
 * Writes a backup of everything as of one moment. The file appears when it is complete. The embedded database serves nobody else
 * meanwhile.
 */
export async function dumpTo(database: Database, file: string): Promise<BackupSummary> {
  const summary: BackupSummary = { tables: 0, rows: 0 };
  const migrations = (await (await database.migrations()).status()).executed;
  const draft = `${file}.part`;
  try {
    await database.transaction(
      () =>
        pipeline(
          Readable.from(lines(database, migrations, summary)),
          createGzip({ level: 6 }),
          createWriteStream(draft, { mode: 0o600, flush: true }),
        ),
      { timeoutMs: LIMIT_MS, isolation: 'repeatable read' },
    );
    await rename(draft, file);
    return summary;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function* lines(database: Database, migrations: string[], summary: BackupSummary): AsyncGenerator<string> {
  const createdAt = new Date().toISOString();
  yield line({ atoll: 'backup', format: 1, createdAt, engine: database.engine, migrations } satisfies Head);
  for (const table of await listTables(database)) {
    summary.tables++;
    yield line({ table: table.name, columns: table.columns.map(({ name }) => name) } satisfies TableLine);
    for await (const row of rowsOf(database, table)) {
      summary.rows++;
      yield line(row);
    }
  }
  yield line({ end: true, ...summary } satisfies End);
}

async function* rowsOf(database: Database, { name, columns }: TableInfo): AsyncGenerator<RowLine> {
  const values = columns.map(({ name: column }) => `"${column.replaceAll('"', '""')}"::text`).join(', ');
  await database.query(`declare backup_rows no scroll cursor for select array[${values}] as row from ${name}`);
  for (;;) {
    const rows = await database.query<{ row: RowLine }>(`fetch ${STEP} from backup_rows`);
    if (rows.length === 0) break;
    for (const { row } of rows) yield row;
  }
  await database.query('close backup_rows');
}

const line = (value: object): string => `${JSON.stringify(value)}\n`;
