import { AtollError } from '@atoll/plugin-sdk/contract';
import type { MasterKey } from '../auth/index.js';
import { SEALED_USE } from '../audit/chain-keys.js';
import type { Database } from '../database/index.js';
import { TOTP_USE } from '../identity/two-factor.js';
import { WRAP_USE } from './envelope.js';

/** Everything in the database that the master key has sealed. */
interface SealedRows {
  use: string;
  /** Columns `id` (text, unique), `place` and `sealed`. */
  rows: string;
  /** Takes id, the new text and the old one: who changed it meanwhile has used the active key. */
  update: string;
}

const SEALED: readonly SealedRows[] = [
  {
    use: WRAP_USE,
    rows: `select v.name || '/' || v.version as id, s.id || '/' || v.version || '/' || v.name as place, v.wrapped_key as sealed
             from secret_version v join secret s on s.name = v.name`,
    update: `update secret_version set wrapped_key = $2 where name || '/' || version = $1 and wrapped_key = $3`,
  },
  {
    use: TOTP_USE,
    rows: 'select id, id as place, totp_secret as sealed from user_account where totp_secret is not null',
    update: 'update user_account set totp_secret = $2 where id = $1 and totp_secret = $3',
  },
  {
    use: SEALED_USE,
    rows: 'select last_seq::text as id, last_seq::text as place, sealed from audit_key',
    update: 'update audit_key set sealed = $2 where last_seq = $1::bigint and sealed = $3',
  },
];

interface Row {
  id: string;
  place: string;
  sealed: string;
}

const BATCH = 50;
const left = ({ rows }: SealedRows): string => `from (${rows}) r where r.sealed not like $1 || '.%'`;

/** How many are not under the active key. */
export async function countLeft(database: Database, master: MasterKey): Promise<number> {
  let sum = 0;
  for (const kind of SEALED) {
    const [row] = await database.query<{ count: string }>(`select count(*) ${left(kind)}`, [master.id]);
    sum += Number(row?.count ?? 0);
  }
  return sum;
}

/**
 * Seals everything with the active key, a few rows at a time. Everything can be opened all along; when it is interrupted, what is left is
 * found again. Resolves with how many can't be opened, whose key is not there.
 */
export async function rewrapAll(database: Database, master: MasterKey, goOn: () => boolean): Promise<number> {
  let unreadable = 0;
  for (const kind of SEALED) {
    let after = '';
    while (goOn()) {
      const rows = await database.query<Row>(
        `select r.* ${left(kind)} and r.id > $2 collate "C" order by r.id collate "C" limit ${BATCH}`,
        [master.id, after],
      );
      for (const row of rows) if (!(await rewrap(database, master, kind, row))) unreadable++;
      if (rows.length < BATCH) break;
      after = rows.at(-1)!.id;
    }
  }
  return unreadable;
}

async function rewrap(
  database: Database,
  master: MasterKey,
  { use, update }: SealedRows,
  { id, place, sealed }: Row,
): Promise<boolean> {
  try {
    const text = master.open(use, place, sealed);
    await database.query(update, [id, master.seal(use, place, text), sealed]);
    return true;
  } catch (error) {
    if (error instanceof AtollError && error.code === 'MASTER_KEY_WRONG') return false;
    throw error;
  }
}
