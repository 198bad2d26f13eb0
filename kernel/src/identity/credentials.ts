import type { Principal } from '@atoll/plugin-sdk/contract';
import { type Authenticator, digest, ROOT, type RootKeyAuthenticator } from '../auth/index.js';
import type { AccessTokens } from './access-tokens.js';
import { type ApiKeys, looksLikeApiKey } from './api-keys.js';
import type { IdentityChanges, Subject } from './changes.js';
import type { Principals } from './principals.js';
import type { Sessions } from './sessions.js';

export interface CredentialsDeps {
  root: RootKeyAuthenticator;
  tokens: AccessTokens;
  keys: ApiKeys;
  sessions: Sessions;
  principals: Principals;
  changes: IdentityChanges;
  onProblem: (error: unknown) => void;
}

/** What a credential was worth when it was looked up. */
interface Known {
  principal: Principal;
  /** When the credential itself ends, in ms since the epoch; and when it is looked up again, by `performance.now()`. */
  ends: number;
  until: number;
  subjects: readonly Subject[];
  /** For keys: when it was last used, until that is written down. */
  usedAt?: number;
}

const MAX_KNOWN = 10_000;
const KNOWN_MS = 60_000;
/** While other nodes can't tell what they change. */
const UNTOLD_MS = 1_000;
const WRITE_USE_MS = 15_000;

/** All credentials: the root key, access tokens, API keys. What was seen lately costs a hash and a look into a map. */
export class Credentials implements Authenticator {
  readonly #known = new Map<string, Known>();
  readonly #looking = new Map<string, Promise<Principal | undefined>>();
  readonly #unwritten = new Map<string, number>();
  readonly #sessions = new WeakMap<Principal, string>();
  readonly #timer: NodeJS.Timeout;
  /** Counts changes: what was read before one must not be kept after it. */
  #generation = 0;

  constructor(private readonly deps: CredentialsDeps) {
    deps.changes.onChange((subject) => this.#forget(subject));
    this.#timer = setInterval(() => void this.writeUse(), WRITE_USE_MS);
    this.#timer.unref();
  }

  authenticate(bearer: string, digested = digest(bearer)): Principal | undefined | Promise<Principal | undefined> {
    if (this.deps.root.matches(digested)) return ROOT;
    const id = digested.toString('latin1');
    const known = this.#known.get(id);
    if (known !== undefined) {
      const now = Date.now();
      if (now < known.ends && performance.now() < known.until) {
        if (known.usedAt !== undefined) known.usedAt = now;
        return known.principal;
      }
    }
    return this.#lookUp(id, bearer);
  }

  /** For connections that outlive an access token: who it is as long as the login lasts. */
  async revalidate(bearer: string): Promise<Principal | undefined> {
    const claims = looksLikeApiKey(bearer) ? undefined : await this.deps.tokens.verify(bearer, { expired: true });
    if (!claims) return this.authenticate(bearer);
    const session = await this.deps.sessions.active(claims.session);
    return session ? this.deps.principals.ofUser(session.user, claims.organisation) : undefined;
  }

  /** The login that a principal's access token is of. */
  sessionOf(principal: Principal): string | undefined {
    return this.#sessions.get(principal);
  }

  onChange(listener: () => void): () => void {
    return this.deps.changes.onChange(listener);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.writeUse();
  }

  /** Writes down when keys were last used. */
  async writeUse(): Promise<void> {
    for (const known of this.#known.values()) this.#collectUse(known);
    const times = new Map(this.#unwritten);
    this.#unwritten.clear();
    await this.deps.keys.used(times).catch(this.deps.onProblem);
  }

  #lookUp(id: string, bearer: string): Promise<Principal | undefined> | undefined {
    const isKey = looksLikeApiKey(bearer);
    if (!isKey && !bearer.startsWith('ey')) return undefined;
    const running = this.#looking.get(id);
    if (running !== undefined) return running;
    const looking = this.#find(id, bearer, isKey).finally(() => {
      if (this.#looking.get(id) === looking) this.#looking.delete(id);
    });
    this.#looking.set(id, looking);
    return looking;
  }

  async #find(id: string, bearer: string, isKey: boolean): Promise<Principal | undefined> {
    const generation = this.#generation;
    const known = await (isKey ? this.#ofKey(bearer) : this.#ofToken(bearer));
    if (!known) {
      this.#known.delete(id);
      return undefined;
    }
    if (generation === this.#generation) this.#keep(id, known);
    else this.#collectUse(known);
    return known.principal;
  }

  async #ofKey(bearer: string): Promise<Known | undefined> {
    const found = await this.deps.keys.find(bearer);
    if (!found) return undefined;
    const { id, owner, organisation, scopes } = found.row;
    const principal = await this.deps.principals.ofKey(id, owner ?? null, organisation, scopes);
    if (!principal) return undefined;
    const subjects: Subject[] = [
      `key:${id}`,
      `organisation:${organisation}`,
      ...(owner ? [`user:${owner}` as const] : []),
    ];
    return { principal, subjects, ends: found.until, until: this.#until(), usedAt: Date.now() };
  }

  async #ofToken(bearer: string): Promise<Known | undefined> {
    const claims = await this.deps.tokens.verify(bearer);
    const session = claims && (await this.deps.sessions.active(claims.session));
    if (!session || session.user !== claims.user) return undefined;
    const principal = await this.deps.principals.ofUser(claims.user, claims.organisation);
    if (!principal) return undefined;
    this.#sessions.set(principal, session.id);
    const subjects: Subject[] = [`session:${session.id}`, `user:${claims.user}`, `organisation:${claims.organisation}`];
    const ends = Math.min(claims.expires, session.expiresAt.getTime());
    return { principal, subjects, ends, until: this.#until() };
  }

  #until(): number {
    return performance.now() + (this.deps.changes.told ? KNOWN_MS : UNTOLD_MS);
  }

  #keep(id: string, known: Known): void {
    this.#known.delete(id);
    this.#known.set(id, known);
    if (this.#known.size <= MAX_KNOWN) return;
    const [oldest, evicted] = this.#known.entries().next().value!;
    this.#collectUse(evicted);
    this.#known.delete(oldest);
  }

  #forget(subject: Subject): void {
    this.#generation++;
    for (const [id, known] of this.#known) {
      if (subject !== 'everything' && !known.subjects.includes(subject)) continue;
      this.#collectUse(known);
      this.#known.delete(id);
    }
    // Who waits for these may still get an answer of before; nobody who comes now.
    this.#looking.clear();
  }

  #collectUse(known: Known): void {
    const { principal, usedAt } = known;
    if (!usedAt) return;
    this.#unwritten.set(principal.id, Math.max(usedAt, this.#unwritten.get(principal.id) ?? 0));
    known.usedAt = 0;
  }
}
