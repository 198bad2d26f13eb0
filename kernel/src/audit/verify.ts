import type { Database } from '../database/index.js';
import type { AuditEntry } from './entry.js';
import type { ChainKeys } from './chain-keys.js';
import { toEnds } from './trail.js';

export interface AuditReport {
  intact: boolean;
  /** Entries that were looked at. */
  entries: number;
  firstSeq: number;
  lastSeq: number;
  /** The first that are wrong. */
  problems: { seq?: number; problem: string }[];
}

interface Row {
  seq: string;
  at: Date | string;
  organisation: string;
  actor: string;
  action: string;
  outcome: string;
  entry: string;
  hash: string;
}

const BATCH = 1_000;
const MAX_PROBLEMS = 20;

/** Goes through the whole chain: finds entries that were altered, added, or are missing, at the ends too. */
export async function verifyTrail(database: Database, keys: ChainKeys): Promise<AuditReport> {
  const [row] = await database.query<Parameters<typeof toEnds>[0] & { seal: string }>(
    'select * from audit_ends where id = 1',
  );
  if (!row) return withoutEnds(database);
  const ends = toEnds(row);
  const report: AuditReport = {
    intact: true,
    entries: 0,
    firstSeq: ends.firstSeq,
    lastSeq: ends.lastSeq,
    problems: [],
  };
  const tell = (problem: string, seq?: number) => {
    report.intact = false;
    if (report.problems.length < MAX_PROBLEMS) report.problems.push({ ...(seq !== undefined && { seq }), problem });
  };
  const { hashFor } = await keys.history(ends, row.seal);
  if (!keys.present(ends, row.seal)) tell('where the trail begins and ends was altered');
  let [expected, previous] = [ends.firstSeq, ends.firstPrevious];
  const [strays] = await database.query<{ count: string }>('select count(*) from audit_entry where seq < $1', [
    ends.firstSeq,
  ]);
  if (Number(strays?.count) > 0) tell('there are entries from before the trail begins');
  // What is written meanwhile is for the next look.
  for (let from = ends.firstSeq; from <= ends.lastSeq; ) {
    const rows = await database.query<Row>(
      'select * from audit_entry where seq >= $1 and seq <= $2 order by seq limit $3',
      [from, ends.lastSeq, BATCH],
    );
    for (const link of rows) {
      const seq = Number(link.seq);
      if (seq !== expected) tell(missing(expected, seq - 1), expected);
      else if (hashFor(seq)?.next(previous, link.entry) !== link.hash)
        tell('it was altered, or the one before it', seq);
      else if (!agrees(link)) tell('its columns were altered', seq);
      report.entries++;
      [expected, previous] = [seq + 1, link.hash];
    }
    if (rows.length < BATCH) break;
    from = expected;
  }
  if (expected <= ends.lastSeq) tell(missing(expected, ends.lastSeq), expected);
  else if (previous !== ends.lastHash) tell('the last entry is another one', ends.lastSeq);
  return report;
}

/** Nothing was ever written, or somebody wants that to be believed. */
async function withoutEnds(database: Database): Promise<AuditReport> {
  const [found] = await database.query<{ count: string }>('select count(*) from audit_entry');
  const entries = Number(found?.count ?? 0);
  const problems = entries > 0 ? [{ problem: 'where the trail begins and ends is missing' }] : [];
  return { intact: entries === 0, entries, firstSeq: 1, lastSeq: 0, problems };
}

const missing = (first: number, last: number): string =>
  first === last ? 'it is missing' : `it is missing, and all up to ${last}`;

/** The columns are for searching; what counts is the entry. */
function agrees(row: Row): boolean {
  try {
    const entry = JSON.parse(row.entry) as AuditEntry;
    return (
      entry.seq === Number(row.seq) &&
      Date.parse(entry.at) === new Date(row.at).getTime() &&
      entry.organisation === row.organisation &&
      entry.actor.id === row.actor &&
      entry.action === row.action &&
      entry.outcome === row.outcome
    );
  } catch {
    return false;
  }
}
