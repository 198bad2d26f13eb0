import { AsyncLocalStorage } from 'node:async_hooks';
import type { MasterKey } from '../auth/index.js';
import { HOME } from '../auth/index.js';
import type { Database } from '../database/index.js';
import { type ChainHash, type Ends, GENESIS } from './chain.js';
import { ChainKeys } from './chain-keys.js';
import { type AuditEntry, type Deed, type Origin, type Outcome, recordable } from './entry.js';

interface Scope {
  readonly origin: Origin;
  readonly deed: Deed;
  /** It is in a transaction that was committed. */
  written: boolean;
}

interface EndsRow {
  first_seq: string;
  first_previous: string;
  last_seq: string;
  last_hash: string;
  seal: string;
}

const scopes = new AsyncLocalStorage<Scope>();

/** Writes who did what: one chain for the whole installation, so one entry after the other. */
export class AuditTrail {
  readonly keys: ChainKeys;

  constructor(
    private readonly database: Database,
    master: MasterKey,
  ) {
    this.keys = new ChainKeys(database, master);
  }

  /** Runs what changes something; `deed` is filled in meanwhile. When it resolves, its entry is written: with the change itself where that can be one transaction. */
  async recording<T>(origin: Origin, deed: Deed, work: () => Promise<T>): Promise<T> {
    const scope: Scope = { origin, deed, written: false };
    const result = await scopes.run(scope, work);
    if (!scope.written) await this.write(scope.origin, scope.deed, 'done');
    return result;
  }

  /** Says what the change that is being made is about. What is said later is added. */
  note(deed: Partial<Deed>): void {
    const scope = scopes.getStore();
    if (scope) Object.assign(scope.deed, deed);
  }

  /** The entry of the change that is being made, as part of its transaction; `committed` says that this was kept. */
  async writeWithin(): Promise<{ committed(): void }> {
    const scope = scopes.getStore();
    if (!scope || scope.written) return { committed: () => {} };
    await this.write(scope.origin, scope.deed, 'done');
    return {
      committed: () => {
        scope.written = true;
      },
    };
  }

  async write(
    origin: Origin,
    deed: Deed,
    outcome: Outcome,
    more: { code?: string; count?: number } = {},
  ): Promise<void> {
    await this.database.transaction(async () => {
      const { ends, seal } = await this.#lock();
      const hash = await this.keys.next(ends, seal);
      const entry = toEntry(ends.lastSeq + 1, origin, deed, outcome, more);
      const text = JSON.stringify(entry);
      const lastHash = hash.next(ends.lastHash, text);
      await this.database.query(
        'insert into audit_entry (seq, at, organisation, actor, action, outcome, entry, hash) values ($1, $2, $3, $4, $5, $6, $7, $8)',
        [entry.seq, entry.at, entry.organisation, entry.actor.id, entry.action, outcome, text, lastHash],
      );
      await this.#setEnds({ ...ends, lastSeq: entry.seq, lastHash }, hash);
    });
  }

  /** Removes entries from before this time. The chain says that it begins later now. Resolves with how many went. */
  async forget(before: Date, limit = 10_000): Promise<number> {
    return this.database.transaction(async () => {
      const { ends, seal } = await this.#lock();
      const hash = this.keys.present(ends, seal);
      // Somebody has altered it: to go on would hide that.
      if (!hash) return 0;
      // Whole from the beginning: a clock that was set back must not make holes.
      const [kept] = await this.database.query<{ seq: string }>(
        'select seq from audit_entry where at >= $1 order by seq limit 1',
        [before],
      );
      const end = Math.min(kept ? Number(kept.seq) : ends.lastSeq + 1, ends.firstSeq + limit);
      if (end <= ends.firstSeq) return 0;
      const [last] = await this.database.query<{ hash: string }>('select hash from audit_entry where seq = $1', [
        end - 1,
      ]);
      // There is a hole: to go on would hide it.
      if (!last) return 0;
      await this.database.query('delete from audit_entry where seq < $1', [end]);
      await this.database.query('delete from audit_key where last_seq < $1', [end]);
      await this.#setEnds({ ...ends, firstSeq: end, firstPrevious: last.hash }, hash);
      return end - ends.firstSeq;
    });
  }

  /** Everybody who writes waits here for the one before. */
  async #lock(): Promise<{ ends: Ends; seal: string }> {
    const find = () => this.database.query<EndsRow>('select * from audit_ends where id = 1 for update');
    const [row] = await find();
    if (row) return { ends: toEnds(row), seal: row.seal };
    const none: Ends = { firstSeq: 1, firstPrevious: GENESIS, lastSeq: 0, lastHash: GENESIS };
    await this.database.query(
      `insert into audit_ends (id, first_seq, first_previous, last_seq, last_hash, seal) values (1, $1, $2, $3, $4, $5)
       on conflict do nothing`,
      [none.firstSeq, none.firstPrevious, none.lastSeq, none.lastHash, (await this.keys.next(none, '')).seal(none)],
    );
    const [made] = await find();
    return { ends: toEnds(made!), seal: made!.seal };
  }

  async #setEnds(ends: Ends, hash: ChainHash): Promise<void> {
    await this.database.query(
      'update audit_ends set first_seq = $1, first_previous = $2, last_seq = $3, last_hash = $4, seal = $5 where id = 1',
      [ends.firstSeq, ends.firstPrevious, ends.lastSeq, ends.lastHash, hash.seal(ends)],
    );
  }
}

export const toEnds = (row: Omit<EndsRow, 'seal'>): Ends => ({
  firstSeq: Number(row.first_seq),
  firstPrevious: row.first_previous,
  lastSeq: Number(row.last_seq),
  lastHash: row.last_hash,
});

function toEntry(
  seq: number,
  { principal, address, traceparent }: Origin,
  { action, target, before, after }: Deed,
  outcome: Outcome,
  { code, count }: { code?: string; count?: number },
): AuditEntry {
  const actor = principal
    ? { kind: principal.kind, id: principal.id, ...(principal.user !== undefined && { user: principal.user }) }
    : { kind: 'anonymous', id: 'anonymous' };
  return {
    seq,
    at: new Date().toISOString(),
    organisation: principal?.organisation ?? HOME,
    actor,
    action: action.slice(0, 200),
    ...(target !== undefined && { target: target.slice(0, 200) }),
    outcome,
    ...(code !== undefined && { code }),
    ...(count !== undefined && count > 1 && { count }),
    address: address.slice(0, 100),
    ...(traceparent !== undefined && { traceId: traceparent.split('-')[1]! }),
    ...(before !== undefined && { before: recordable(before) }),
    ...(after !== undefined && { after: recordable(after) }),
  };
}
