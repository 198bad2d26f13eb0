import { timingSafeEqual } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';

/**
 * All nodes need the same master key: tokens of one would mean nothing to another, and what one encrypts no other could read. The first
 * one leaves what its key amounts to. Throws MASTER_KEY_WRONG.
 */
export async function assertSameMasterKey(database: Database, master: MasterKey): Promise<void> {
  const ours = master.derive('nodes/key check');
  const [row] = await database.query<{ key_check: string }>(
    'update cluster.state set key_check = coalesce(key_check, $1) returning key_check',
    [ours.toString('base64')],
  );
  const theirs = Buffer.from(row?.key_check ?? '', 'base64');
  if (theirs.length === ours.length && timingSafeEqual(theirs, ours)) return;
  throw new AtollError(
    'MASTER_KEY_WRONG',
    'The nodes on this database have another master key than this one. All of them need the same.',
  );
}
