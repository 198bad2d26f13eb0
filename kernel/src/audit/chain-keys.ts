import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';
import { ChainHash, type Ends } from './chain.js';

const USE = 'audit trail';
export const SEALED_USE = 'former keys of the audit trail';

/** What an entry was hashed with: the keys of before, each up to an entry, and then the present one. */
export interface ChainHistory {
  present: ChainHash;
  /** Undefined where the key is not known. */
  hashFor(seq: number): ChainHash | undefined;
}

/**
 * Which key the trail is made with. When the master key is exchanged the next entry is made with the new one: then the key of what is
 * there already is kept, sealed with the new one, and what is there can't be altered any more even by who knows the old one.
 */
export class ChainKeys {
  readonly #hashes = new Map<string, ChainHash>();

  constructor(
    private readonly database: Database,
    private readonly master: MasterKey,
  ) {}

  /** The hash of the trail as it is; undefined when its ends were sealed with a key that is not there, or altered. */
  present(ends: Ends, seal: string): ChainHash | undefined {
    return this.#present(ends, seal)?.hash;
  }

  /** The hash for what is written next, within the same transaction. */
  async next(ends: Ends, seal: string): Promise<ChainHash> {
    const present = this.#present(ends, seal);
    if (present?.id === this.master.id || !present || ends.lastSeq === 0) return this.#hashOf(this.master.id);
    const [state] = await this.database.query<{ active: string }>('select active from master_key_state where id = 1');
    // This node has not heard yet that the key was exchanged: it was not, as far as the trail is concerned.
    if (state?.active === present.id) return present.hash;
    const former = this.master.deriveEach(USE).get(present.id)!.toString('base64url');
    await this.database.query(
      'insert into audit_key (last_seq, sealed) values ($1, $2) on conflict (last_seq) do update set sealed = excluded.sealed',
      [ends.lastSeq, this.master.seal(SEALED_USE, String(ends.lastSeq), former)],
    );
    return this.#hashOf(this.master.id);
  }

  async history(ends: Ends, seal: string): Promise<ChainHistory> {
    const present = this.present(ends, seal) ?? this.#hashOf(this.master.id);
    const rows = await this.database.query<{ last_seq: string; sealed: string }>(
      'select last_seq, sealed from audit_key order by last_seq',
    );
    const former = rows.map(({ last_seq, sealed }) => ({ last: Number(last_seq), hash: this.#open(last_seq, sealed) }));
    return {
      present,
      hashFor: (seq) => {
        const found = former.find(({ last }) => seq <= last);
        return found ? found.hash : present;
      },
    };
  }

  #open(lastSeq: string, sealed: string): ChainHash | undefined {
    try {
      return new ChainHash(Buffer.from(this.master.open(SEALED_USE, String(lastSeq), sealed), 'base64url'));
    } catch {
      return undefined;
    }
  }

  #present(ends: Ends, seal: string): { id: string; hash: ChainHash } | undefined {
    for (const id of this.master.deriveEach(USE).keys()) {
      const hash = this.#hashOf(id);
      if (hash.seal(ends) === seal) return { id, hash };
    }
    return undefined;
  }

  #hashOf(id: string): ChainHash {
    const known = this.#hashes.get(id);
    if (known) return known;
    const made = new ChainHash(this.master.deriveEach(USE).get(id)!);
    this.#hashes.set(id, made);
    return made;
  }
}
