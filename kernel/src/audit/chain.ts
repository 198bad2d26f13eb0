import { createHmac } from 'node:crypto';

/** What the hash of the first entry of all is made with. */
export const GENESIS = 'atoll audit trail';

/** Where the chain begins and ends now. */
export interface Ends {
  firstSeq: number;
  /** Hash of the entry before the first one that is kept. */
  firstPrevious: string;
  /** 0 when there is none yet. */
  lastSeq: number;
  lastHash: string;
}

export interface Link {
  seq: number;
  entry: string;
  hash: string;
}

/** Hashes with a key that is not in the database: whoever can only write there can't make them. */
export class ChainHash {
  constructor(private readonly key: Buffer) {}

  next(previous: string, entry: string): string {
    return this.#mac('entry', previous, entry);
  }

  seal({ firstSeq, firstPrevious, lastSeq, lastHash }: Ends): string {
    return this.#mac('ends', String(firstSeq), firstPrevious, String(lastSeq), lastHash);
  }

  #mac(...parts: string[]): string {
    return createHmac('sha256', this.key).update(JSON.stringify(parts)).digest('base64url');
  }
}
