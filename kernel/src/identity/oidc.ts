import { randomUUIDv7 } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import * as client from 'openid-client';
import type { MasterKey } from '../auth/index.js';
import type { Config } from '../config/index.js';
import type { Database } from '../database/index.js';
import type { IdentityChanges } from './changes.js';
import { claimedRoles, type Claims, displayName, emailOf, usernameOf } from './oidc-claims.js';
import { type OidcProvider, OidcProviders } from './oidc-providers.js';
import { newSecret } from './secret-text.js';
import type { Client, Sessions, Tokens } from './sessions.js';
import { normalizeUsername, type Users } from './users.js';

export interface OidcDeps {
  providers: Config['auth']['oidc'];
  database: Database;
  changes: IdentityChanges;
  users: Users;
  sessions: Sessions;
  master: MasterKey;
}

/** What a login in another window needs to remember, sealed in a cookie: the answer has to come to the browser that asked. */
interface Pending {
  provider: string;
  state: string;
  nonce: string;
  verifier: string;
  redirectUri: string;
  expires: number;
}

export const PENDING_SECONDS = 600;
const USE = 'logins at OpenID providers';

/** Logins at OpenID Connect providers: authorization code with PKCE, state and nonce. */
export class OidcLogin {
  readonly #providers: OidcProviders;

  constructor(private readonly deps: OidcDeps) {
    this.#providers = new OidcProviders(deps.providers);
  }

  list(): { id: string; title: string }[] {
    return this.#providers.list();
  }

  /** Where the browser has to go, and what it has to remember. */
  async begin(id: string, redirectUri: string): Promise<{ url: string; pending: string }> {
    const { settings, configuration } = await this.#providers.get(id);
    const verifier = client.randomPKCECodeVerifier();
    const [state, nonce] = [client.randomState(), client.randomNonce()];
    const url = client.buildAuthorizationUrl(configuration, {
      redirect_uri: redirectUri,
      scope: settings.scopes.join(' '),
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const expires = Date.now() + PENDING_SECONDS * 1000;
    const pending: Pending = { provider: id, state, nonce, verifier, redirectUri, expires };
    return { url: url.href, pending: this.deps.master.seal(USE, id, JSON.stringify(pending)) };
  }

  /** `query` is what the provider sent back with the browser. Throws LOGIN_FAILED. */
  async finish(id: string, query: string, remembered: string | undefined, from: Client): Promise<Tokens> {
    const { settings, configuration } = await this.#providers.get(id);
    const pending = this.#open(id, remembered);
    const claims = await this.#claims(configuration, pending, query);
    const user = await this.#userOf(id, settings, claims);
    return this.deps.sessions.start(user, settings.organisation, from);
  }

  #open(id: string, remembered: string | undefined): Pending {
    const pending = remembered === undefined ? undefined : unseal(this.deps.master, id, remembered);
    if (pending?.provider !== id || pending.expires < Date.now())
      throw failed('It was not begun in this browser, or took too long.');
    return pending;
  }

  async #claims(configuration: client.Configuration, pending: Pending, query: string): Promise<Claims> {
    const answer = new URL(pending.redirectUri);
    answer.search = query;
    try {
      const tokens = await client.authorizationCodeGrant(configuration, answer, {
        pkceCodeVerifier: pending.verifier,
        expectedState: pending.state,
        expectedNonce: pending.nonce,
        idTokenExpected: true,
      });
      const claims = tokens.claims()!;
      if (!configuration.serverMetadata().userinfo_endpoint) return claims;
      const info = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
      return { ...info, ...claims };
    } catch (error) {
      throw failed((error as Error).message, error);
    }
  }

  /** The account of a subject at a provider; made at the first login. Roles follow the claims at every login. */
  async #userOf(id: string, settings: OidcProvider, claims: Claims): Promise<string> {
    const roles = claimedRoles(settings, claims);
    const known = await this.#known(id, claims.sub);
    if (!known) return this.#create(id, settings, claims, roles);
    const user = await this.deps.users.byId(known);
    const member = await this.deps.users.organisationsOf(known);
    if (!user || user.disabled || !member.includes(settings.organisation)) throw failed('The account is disabled.');
    if (settings.roleClaim !== undefined) await this.deps.users.replaceRoles(settings.organisation, known, roles);
    return known;
  }

  async #create(id: string, settings: OidcProvider, claims: Claims, roles: string[]): Promise<string> {
    if (!settings.createUsers) throw failed('There is no account for this user here.');
    const user = randomUUIDv7();
    // An account of that name may be somebody else's: names are never a reason to let somebody in.
    const wanted = normalizeUsername(usernameOf(claims));
    const username = (await this.deps.users.byUsername(wanted)) ? `${wanted}.${newSecret('').slice(0, 8)}` : wanted;
    await this.deps.changes.apply(`user:${user}`, async () => {
      const account = { id: user, username: normalizeUsername(username), passwordHash: null };
      const about = { name: displayName(claims), email: emailOf(claims) };
      await this.deps.users.insert({ ...account, ...about }, settings.organisation, roles);
      await this.deps.database.query('insert into external_identity (provider, subject, "user") values ($1, $2, $3)', [
        id,
        claims.sub,
        user,
      ]);
    });
    return user;
  }

  async #known(provider: string, subject: string): Promise<string | undefined> {
    const [row] = await this.deps.database.query<{ user: string }>(
      'select "user" from external_identity where provider = $1 and subject = $2',
      [provider, subject],
    );
    return row?.user;
  }
}

function unseal(master: MasterKey, id: string, remembered: string): Pending | undefined {
  try {
    return JSON.parse(master.open(USE, id, remembered)) as Pending;
  } catch {
    return undefined;
  }
}

const failed = (why: string, cause?: unknown): AtollError =>
  new AtollError('LOGIN_FAILED', `The login at the provider did not succeed: ${why.slice(0, 300)}`, {}, { cause });
