import { AtollError } from '@atoll/plugin-sdk/contract';
import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';

/**
 * All nodes need the same master key: tokens of one would mean nothing to another, and what one encrypts no other could read. Which one is
 * in use is said in the database. One that is alone may have lost it, and another one is begun with then. Throws MASTER_KEY_WRONG.
 */
export async function assertSameMasterKey(database: Database, master: MasterKey, self: string): Promise<void> {
  await database.query('insert into master_key_state (id, active) values (1, $1) on conflict do nothing', [master.id]);
  const [row] = await database.query<{ active: string }>(
    `select active from master_key_state
      where exists (select 1 from cluster.node where id <> $1 and alive_until > now())`,
    [self],
  );
  if (row && !master.has(row.active))
    throw new AtollError(
      'MASTER_KEY_WRONG',
      'The nodes on this database have another master key than this one. All of them need the same.',
    );
}
