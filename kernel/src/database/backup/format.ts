import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { createGunzip } from 'node:zlib';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Static, Type } from 'typebox';
import { Compile } from 'typebox/compile';

/*
 * A backup: gzipped lines of JSON. A head, then for each table its columns followed by its rows (the values as PostgreSQL writes them,
 * which is the same for both engines), then an end with the number of rows, without which it is not complete.
 */

export const Head = Type.Object({
  atoll: Type.Literal('backup'),
  format: Type.Literal(1),
  createdAt: Type.String(),
  engine: Type.String(),
  migrations: Type.Array(Type.String()),
});
export type Head = Static<typeof Head>;

export const TableLine = Type.Object({ table: Type.String(), columns: Type.Array(Type.String()) });
export type TableLine = Static<typeof TableLine>;

export const End = Type.Object({ end: Type.Literal(true), tables: Type.Integer(), rows: Type.Integer() });
export type End = Static<typeof End>;

export type RowLine = (string | null)[];
export type Line = { head: Head } | { table: TableLine } | { row: RowLine } | { end: End };

const isHead = Compile(Head);
const isTable = Compile(TableLine);
const isEnd = Compile(End);
const isRow = Compile(Type.Array(Type.Union([Type.String(), Type.Null()])));

/** The lines of a backup file, each checked. Throws BACKUP_INVALID, also when the end is missing. */
export async function* readBackup(file: string): AsyncGenerator<Line> {
  const source = createReadStream(file);
  const unzipped = source.pipe(createGunzip());
  source.on('error', (error) => unzipped.destroy(error));
  let [tables, rows, columns] = [0, 0, -1];
  let ended = false;
  try {
    for await (const text of createInterface({ input: unzipped, crlfDelay: Number.POSITIVE_INFINITY })) {
      const line = toLine(text);
      if (ended || 'head' in line !== (columns === -1)) throw invalid('its lines are not in order');
      if ('head' in line) columns = 0;
      else if ('table' in line) {
        tables++;
        columns = line.table.columns.length;
      } else if ('row' in line) {
        rows++;
        if (line.row.length !== columns) throw invalid('a row does not fit its table');
      } else {
        ended = true;
        if (line.end.tables !== tables || line.end.rows !== rows) throw invalid('rows are missing');
      }
      yield line;
    }
  } catch (error) {
    throw error instanceof AtollError ? error : invalid((error as Error).message);
  }
  if (!ended) throw invalid('its end is missing');
}

function toLine(text: string): Line {
  const value = JSON.parse(text) as unknown;
  if (isRow.Check(value)) return { row: value };
  if (isTable.Check(value)) return { table: value };
  if (isHead.Check(value)) return { head: value };
  if (isEnd.Check(value)) return { end: value };
  throw invalid('it has a line of an unknown kind');
}

export function invalid(why: string): AtollError {
  return new AtollError('BACKUP_INVALID', `The file is no complete backup: ${why}.`);
}
