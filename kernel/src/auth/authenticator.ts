import { hash, timingSafeEqual } from 'node:crypto';
import type { Principal } from '@atoll/plugin-sdk/contract';
import { EVERYTHING } from '@atoll/plugin-sdk/contract';
import { HOME } from './permissions.js';

/** Finds out who calls. */
export interface Authenticator {
  /**
   * The principal of a bearer credential, or undefined when it is worth nothing. At once for what was seen lately. Rejects with
   * DATABASE_UNAVAILABLE when that can't be found out. `digested` is its digest, when that is at hand.
   */
  authenticate(bearer: string, digested?: Buffer): Principal | undefined | Promise<Principal | undefined>;
  /** For connections: who it is as long as the login lasts, even when its access token has expired. As `authenticate` when absent. */
  revalidate?(bearer: string): Promise<Principal | undefined>;
  /** Tells that what credentials are worth may have changed. */
  onChange?(listener: () => void): () => void;
}

export const ROOT: Principal = Object.freeze({
  kind: 'root',
  id: 'root',
  organisation: HOME,
  roles: Object.freeze(['admin']),
  permissions: Object.freeze([EVERYTHING]),
});

export const digest = (text: string): Buffer => hash('sha256', text, 'buffer');

/** Knows the root key only. */
export class RootKeyAuthenticator implements Authenticator {
  readonly #expected: Buffer;

  constructor(key: string) {
    this.#expected = digest(key);
  }

  authenticate(bearer: string, digested = digest(bearer)): Principal | undefined {
    return this.matches(digested) ? ROOT : undefined;
  }

  /** Digests are of one length, so the comparison takes the same time whatever was sent. */
  matches(digested: Buffer): boolean {
    return timingSafeEqual(digested, this.#expected);
  }
}
