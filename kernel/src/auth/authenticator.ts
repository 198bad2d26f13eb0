import { hash, timingSafeEqual } from 'node:crypto';
import type { Principal } from '@atoll/plugin-sdk/contract';

/** Finds out who calls. Users and API keys are further implementations. */
export interface Authenticator {
  /** The principal of a bearer credential, or undefined when it is worth nothing. */
  authenticate(bearer: string): Principal | undefined;
}

const ROOT: Principal = Object.freeze({ kind: 'root', id: 'root', roles: Object.freeze(['admin']) });

const digest = (text: string) => hash('sha256', text, 'buffer');

/** Knows the root key only. */
export class RootKeyAuthenticator implements Authenticator {
  readonly #expected: Buffer;

  constructor(key: string) {
    this.#expected = digest(key);
  }

  authenticate(bearer: string): Principal | undefined {
    // Digests are of one length, so the comparison takes the same time whatever was sent.
    return timingSafeEqual(digest(bearer), this.#expected) ? ROOT : undefined;
  }
}
