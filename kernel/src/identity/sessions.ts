import { randomUUIDv7 } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import type { AccessTokens } from './access-tokens.js';
import type { IdentityChanges } from './changes.js';
import { hashSecret, newSecret } from './secret-text.js';
import { SessionEntity, type SessionRow } from './session-entity.js';

/** What a client gets when it logs in, and each time it refreshes. */
export interface Tokens {
  accessToken: string;
  tokenType: 'Bearer';
  /** Seconds. */
  expiresIn: number;
  refreshToken: string;
  /** Seconds until the login ends whatever the client does. */
  refreshExpiresIn: number;
  organisation: string;
}

export interface Client {
  address: string;
  agent?: string;
}

export interface SessionInfo {
  id: string;
  organisation: string;
  address: string;
  agent?: string;
  createdAt: string;
  usedAt: string;
  expiresAt: string;
}

interface Refreshed {
  session: string;
  user: string;
  organisation: string;
  expires: Date;
}

const PREFIX = 'atollr_';
const MAX_TOKEN = 200;
const MAX_AGENT = 200;
/** Older ones of the same user end. */
const MAX_SESSIONS = 100;

/** Logins that last: each has a refresh token that is exchanged for the next one, and works once. */
export class Sessions {
  constructor(
    private readonly database: Database,
    private readonly changes: IdentityChanges,
    private readonly tokens: AccessTokens,
    private readonly lifetimeSeconds: number,
  ) {}

  async start(user: string, organisation: string, { address, agent }: Client): Promise<Tokens> {
    const id = randomUUIDv7();
    const refreshToken = newSecret(PREFIX);
    this.changes.note({ target: `user:${user}`, after: { session: id, organisation } });
    const expiresAt = new Date(Date.now() + this.lifetimeSeconds * 1000);
    await this.database.transaction(async (em) => {
      em.create(SessionEntity, {
        id,
        user,
        organisation,
        address,
        agent: agent?.slice(0, MAX_AGENT) ?? null,
        expiresAt,
        revokedAt: null,
      });
      await em.flush();
      await this.#add(id, refreshToken);
      await this.database.query(
        `delete from session where "user" = $1 and (expires_at < now() or id not in
          (select id from session where "user" = $1 and revoked_at is null order by used_at desc, id desc limit ${MAX_SESSIONS}))
          and id <> $2 and (revoked_at is null or expires_at < now())`,
        [user, id],
      );
    });
    return this.#issue({ session: id, user, organisation, expires: expiresAt }, refreshToken);
  }

  /**
   * Exchanges a refresh token; with `organisation` the session goes on in that one. `allowed` says whether the user may be there.
   * Throws TOKEN_INVALID; a token that was used before ends its whole session.
   */
  async refresh(
    token: string,
    organisation: string | undefined,
    allowed: (user: string, organisation: string) => Promise<boolean>,
  ): Promise<Tokens> {
    const found = token.length <= MAX_TOKEN && token.startsWith(PREFIX) ? await this.#find(token) : undefined;
    if (!found) throw refused();
    const { session, usedAt } = found;
    if (usedAt !== null) return this.#reused(session);
    const usable = session.revokedAt === null && session.expiresAt.getTime() > Date.now();
    const target = organisation ?? session.organisation;
    this.changes.note({ target: `session:${session.id}` });
    if (!usable || !(await allowed(session.user, target))) throw refused();
    const next = newSecret(PREFIX);
    const won = await this.database.transaction(() => this.#exchange(session.id, token, next, target));
    // Somebody else was faster with the same token.
    if (!won) return this.#reused(session);
    return this.#issue(
      { session: session.id, user: session.user, organisation: target, expires: session.expiresAt },
      next,
    );
  }

  /** The session that a refresh token belongs to, whatever has become of it. */
  async ofRefreshToken(token: string): Promise<SessionRow | undefined> {
    return token.length <= MAX_TOKEN ? (await this.#find(token))?.session : undefined;
  }

  /** A session that has neither ended nor been revoked. */
  async active(id: string): Promise<SessionRow | undefined> {
    const session = await this.database.read((em) => em.findOne(SessionEntity, { id }));
    if (!session || session.revokedAt !== null || session.expiresAt.getTime() <= Date.now()) return undefined;
    return session;
  }

  async list(user: string): Promise<SessionInfo[]> {
    const where = { user, revokedAt: null, expiresAt: { $gt: new Date() } };
    const rows = await this.database.read((em) => em.find(SessionEntity, where, { orderBy: { id: 'desc' } }));
    return rows.map(toInfo);
  }

  /** Ends one session of the user. False when there is none with this id. */
  async revoke(id: string, user: string): Promise<boolean> {
    this.changes.note({ target: `session:${id}` });
    const ended = await this.changes.apply(`session:${id}`, () =>
      this.database.query(
        'update session set revoked_at = now() where id = $1 and "user" = $2 and revoked_at is null returning id',
        [id, user],
      ),
    );
    return ended.length > 0;
  }

  /** Ends all sessions of the user but one. */
  async revokeAll(user: string, except = ''): Promise<void> {
    this.changes.note({ target: `user:${user}` });
    await this.changes.apply(`user:${user}`, () => this.endAll(user, except));
  }

  /** The same as part of another change. */
  async endAll(user: string, except = ''): Promise<void> {
    await this.database.query(
      'update session set revoked_at = now() where "user" = $1 and id <> $2 and revoked_at is null',
      [user, except],
    );
  }

  async #find(token: string): Promise<{ session: SessionRow; usedAt: Date | null } | undefined> {
    const [row] = await this.database.query<{ session: string; used_at: Date | null }>(
      'select session, used_at from refresh_token where hash = $1',
      [hashSecret(token)],
    );
    const session = row && (await this.database.read((em) => em.findOne(SessionEntity, { id: row.session })));
    return session ? { session, usedAt: row.used_at } : undefined;
  }

  async #exchange(session: string, token: string, next: string, organisation: string): Promise<boolean> {
    const used = await this.database.query(
      'update refresh_token set used_at = now() where hash = $1 and used_at is null returning hash',
      [hashSecret(token)],
    );
    if (used.length === 0) return false;
    await this.#add(session, next);
    // A revocation at the same moment wins.
    const alive = await this.database.query(
      'update session set used_at = now(), organisation = $2 where id = $1 and revoked_at is null returning id',
      [session, organisation],
    );
    if (alive.length === 0) throw refused();
    return true;
  }

  async #add(session: string, token: string): Promise<void> {
    await this.database.query('insert into refresh_token (hash, session) values ($1, $2)', [
      hashSecret(token),
      session,
    ]);
  }

  /** Either the client or a thief has it a second time: neither goes on. */
  async #reused(session: SessionRow): Promise<never> {
    await this.revoke(session.id, session.user);
    throw refused();
  }

  async #issue({ session, user, organisation, expires }: Refreshed, refreshToken: string): Promise<Tokens> {
    return {
      accessToken: await this.tokens.sign({ user, organisation, session }),
      tokenType: 'Bearer',
      expiresIn: this.tokens.lifetimeSeconds,
      refreshToken,
      refreshExpiresIn: Math.max(0, Math.floor((expires.getTime() - Date.now()) / 1000)),
      organisation,
    };
  }
}

const refused = (): AtollError => new AtollError('TOKEN_INVALID', 'The refresh token is not valid, or not any more.');

function toInfo({ id, organisation, address, agent, createdAt, usedAt, expiresAt }: SessionRow): SessionInfo {
  return {
    id,
    organisation,
    address,
    ...(agent && { agent }),
    createdAt: createdAt.toISOString(),
    usedAt: usedAt.toISOString(),
    expiresAt: expiresAt.toISOString(),
  };
}
