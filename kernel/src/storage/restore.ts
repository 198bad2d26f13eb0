import type { Database } from '../database/index.js';
import { createCollectionTable } from './table.js';

/**
 * Makes the tables of collections that a backup tells of, without indexes: these are made when their plugins declare them, which is
 * also what fills them.
 */
export async function makeCollectionTables(database: Database): Promise<void> {
  await database.query(`update storage_collection set spec = '{"indexes":[]}'`);
  const rows = await database.query<{ id: number }>('select id from storage_collection');
  for (const { id } of rows) await database.query(createCollectionTable(id));
}
