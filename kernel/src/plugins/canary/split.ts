import { createHash } from 'node:crypto';
import type { Principal } from '@atoll/plugin-sdk/contract';
import { HOME } from '../../auth/index.js';
import type { CanarySpec } from './spec.js';

/** Who makes a call. Only HTTP requests have headers. */
export interface Caller {
  principal?: Principal | undefined;
  headers?: Readonly<Record<string, string | string[] | undefined>>;
}

/** Those that stand for nobody in particular: each call is for itself. */
const NOBODY: ReadonlySet<Principal['kind']> = new Set(['root', 'system', 'plugin']);

/**
 * Decides which calls go to a canary. A user (with all keys and sessions), or a key without one, always meets the same version; calls
 * with the root key and of plugins for themselves are shared out one by one.
 */
export class Split {
  #due = 0;

  constructor(
    private readonly plugin: string,
    private readonly target: Omit<CanarySpec, 'rule'>,
  ) {}

  takes({ principal, headers }: Caller): boolean {
    // Whoever is nobody is refused, by whatever version.
    if (!principal) return false;
    return this.#isNamed(principal, headers) || this.#hasShare(principal);
  }

  #isNamed({ id, user, organisation = HOME }: Principal, headers: Caller['headers']): boolean {
    const { header, users = [], organisations = [] } = this.target;
    if (users.includes(id) || (user !== undefined && users.includes(user)) || organisations.includes(organisation))
      return true;
    const sent = header && headers?.[header.name.toLowerCase()];
    return sent !== undefined && (header?.value === undefined || sent === header.value);
  }

  #hasShare(principal: Principal): boolean {
    const { share = 0 } = this.target;
    if (!NOBODY.has(principal.kind)) return share > 0 && this.#place(principal) < share;
    this.#due += share;
    // Ten times a tenth are a little less than one.
    if (this.#due < 1 - 1e-9) return false;
    this.#due -= 1;
    return true;
  }

  /** From 0 up to 1, the same at each call; another one for another plugin, or the same users would always be the ones. */
  #place({ id, user = id }: Principal): number {
    const hash = createHash('sha256').update(`${this.plugin}\n${user}`).digest();
    return hash.readUInt32BE(0) / 2 ** 32;
  }
}
