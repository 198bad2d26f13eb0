import type { Database } from '../database/index.js';
import type { AuditEntry } from './entry.js';

export interface AuditFilter {
  organisation?: string;
  actor?: string;
  action?: string;
  outcome?: string;
  from?: string;
  to?: string;
}

const BATCH = 500;

/** The newest entries first; the cursor is the number of the last one of the page before. */
export async function auditPage(
  database: Database,
  filter: AuditFilter,
  { limit, cursor }: { limit: number; cursor?: string | undefined },
): Promise<{ items: AuditEntry[]; nextCursor?: string }> {
  const rows = await select(database, filter, { before: Number(cursor ?? Number.MAX_SAFE_INTEGER), limit: limit + 1 });
  const items = rows.slice(0, limit);
  return { items, ...(rows.length > limit && { nextCursor: String(items.at(-1)!.seq) }) };
}

/** All entries that match, newest first, as lines of JSON. */
export async function* auditLines(database: Database, filter: AuditFilter): AsyncGenerator<string> {
  for (let before = Number.MAX_SAFE_INTEGER; ; ) {
    const rows = await select(database, filter, { before, limit: BATCH });
    if (rows.length > 0) yield `${rows.map((entry) => JSON.stringify(entry)).join('\n')}\n`;
    if (rows.length < BATCH) return;
    before = rows.at(-1)!.seq;
  }
}

async function select(
  database: Database,
  { organisation, actor, action, outcome, from, to }: AuditFilter,
  { before, limit }: { before: number; limit: number },
): Promise<AuditEntry[]> {
  const rows = await database.query<{ entry: string }>(
    `select entry from audit_entry where seq < $1
       and ($2::text is null or organisation = $2) and ($3::text is null or actor = $3)
       and ($4::text is null or action = $4 or starts_with(action, $4 || '.')) and ($5::text is null or outcome = $5)
       and ($6::timestamptz is null or at >= $6) and ($7::timestamptz is null or at < $7)
     order by seq desc limit $8`,
    [before, organisation ?? null, actor ?? null, action ?? null, outcome ?? null, from ?? null, to ?? null, limit],
  );
  return rows.map(({ entry }) => JSON.parse(entry) as AuditEntry);
}
