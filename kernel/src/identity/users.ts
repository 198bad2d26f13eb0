import { randomUUIDv7 } from 'node:crypto';
import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import { UniqueConstraintViolationException } from '@mikro-orm/core';
import type { Database } from '../database/index.js';
import type { IdentityChanges } from './changes.js';
import { type Listed, type Page, toPage } from './page.js';
import type { Passwords } from './passwords.js';
import { assertCovers, type Roles } from './roles.js';
import type { Sessions } from './sessions.js';
import { UserEntity, type UserRow } from './user-entity.js';

/** A user as an organisation sees it. */
export interface UserInfo {
  id: string;
  username: string;
  name?: string;
  email?: string;
  /** In the organisation that asks. */
  roles: string[];
  /** Whose administrators manage the account. */
  home: string;
  disabled: boolean;
  twoFactor: boolean;
  createdAt: string;
  updatedAt: string;
}

export interface NewUser {
  username: string;
  /** Without one the user can only log in elsewhere. */
  password?: string;
  name?: string;
  email?: string;
  roles: string[];
}

export interface UserPatch {
  name?: string | null;
  email?: string | null;
  password?: string;
  disabled?: boolean;
  roles?: string[];
}

type MemberRow = UserRow & { roles: string[] };

/** Users and what their organisations' administrators do with them. Whom the organisation does not know, does not exist: NOT_FOUND. */
export class Users {
  constructor(
    private readonly database: Database,
    private readonly changes: IdentityChanges,
    private readonly passwords: Passwords,
    private readonly roles: Roles,
    private readonly sessions: Sessions,
    private readonly minPasswordLength: number,
  ) {}

  async list(organisation: string, page: Page, text = ''): Promise<Listed<UserInfo>> {
    const pattern = `%${text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`;
    const rows = await this.database.query<Record<string, unknown>>(
      `select u.*, m.roles from user_account u join membership m on m."user" = u.id
       where m.organisation = $1 and u.id > $2 and ($3 = '%%' or u.username like $3 or lower(u.name) like $3 or lower(u.email) like $3)
       order by u.id limit $4`,
      [organisation, page.cursor ?? '', pattern, page.limit + 1],
    );
    return toPage(await this.#mapped(rows), page, toInfo);
  }

  async get(organisation: string, id: string): Promise<UserInfo> {
    return toInfo(await this.#member(organisation, id));
  }

  /** Throws CONFLICT when the name is taken. */
  async create(actor: Principal, organisation: string, input: NewUser): Promise<UserInfo> {
    await this.roles.assertAssignable(actor, organisation, input.roles);
    const username = normalizeUsername(input.username);
    if (input.password !== undefined) this.assertPassword(input.password, username);
    const passwordHash = input.password === undefined ? null : await this.passwords.hash(input.password);
    const id = randomUUIDv7();
    try {
      const after = { username, name: input.name, email: input.email, roles: input.roles, home: organisation };
      this.changes.note({ target: `user:${id}`, after });
      await this.changes.apply(`user:${id}`, () =>
        this.insert({ id, username, passwordHash, name: input.name, email: input.email }, organisation, input.roles),
      );
    } catch (error) {
      if (error instanceof UniqueConstraintViolationException)
        throw new AtollError('CONFLICT', `The user name "${username}" is taken.`);
      throw error;
    }
    return this.get(organisation, id);
  }

  /** The rows of a new user; within a change. */
  async insert(
    user: Pick<UserRow, 'id' | 'username' | 'passwordHash'> & { name?: string | undefined; email?: string | undefined },
    organisation: string,
    roles: readonly string[],
  ): Promise<void> {
    await this.database.transaction(async (em) => {
      em.create(UserEntity, {
        ...user,
        name: user.name ?? null,
        email: user.email ?? null,
        home: organisation,
        totpSecret: null,
        totpLastStep: null,
      });
      await em.flush();
      await this.database.query('insert into membership (organisation, "user", roles) values ($1, $2, $3)', [
        organisation,
        user.id,
        JSON.stringify(roles),
      ]);
    });
  }

  /** Changes the account (at home only) and the roles. A new password, or being disabled, ends all sessions. */
  async update(actor: Principal, organisation: string, id: string, patch: UserPatch): Promise<UserInfo> {
    const { roles, password, ...account } = patch;
    const before = await this.#managed(actor, organisation, id);
    if (roles) await this.roles.assertAssignable(actor, organisation, roles);
    const touched = password !== undefined || Object.keys(account).length > 0;
    if (touched) this.#assertHome(before, organisation);
    if (password !== undefined) this.assertPassword(password, before.username);
    const passwordHash = password === undefined ? undefined : await this.passwords.hash(password);
    const shown = toInfo(before);
    this.changes.note({ target: `user:${id}`, before: shown, after: { ...shown, ...patch } });
    await this.changes.apply(`user:${id}`, async (em) => {
      if (touched)
        em.assign(await em.findOneOrFail(UserEntity, { id }), { ...account, ...(passwordHash && { passwordHash }) });
      await em.flush();
      if (roles) await this.#setRoles(organisation, id, roles);
      if (passwordHash || account.disabled) await this.sessions.endAll(id);
    });
    return this.get(organisation, id);
  }

  /** At home the account goes, with its sessions and keys; elsewhere only the membership. */
  async remove(actor: Principal, organisation: string, id: string): Promise<void> {
    const user = await this.#managed(actor, organisation, id);
    this.changes.note({ target: `user:${id}`, before: toInfo(user) });
    await this.changes.apply(`user:${id}`, async () => {
      if (user.home === organisation) await this.database.query('delete from user_account where id = $1', [id]);
      else await this.leave(organisation, id);
    });
  }

  /** Takes a user's second factor away: for those who lost it. */
  async resetSecondFactor(actor: Principal, organisation: string, id: string): Promise<void> {
    const user = await this.#managed(actor, organisation, id);
    this.#assertHome(user, organisation);
    this.changes.note({ target: `user:${id}`, before: { twoFactor: user.totpEnabled }, after: { twoFactor: false } });
    await this.changes.apply(`user:${id}`, async () => {
      await this.database.query(
        'update user_account set totp_secret = null, totp_enabled = false, totp_last_step = null where id = $1',
        [id],
      );
      await this.database.query('delete from recovery_code where "user" = $1', [id]);
      await this.sessions.endAll(id);
    });
  }

  async logoutEverywhere(actor: Principal, organisation: string, id: string): Promise<void> {
    await this.#managed(actor, organisation, id);
    this.changes.note({ target: `user:${id}` });
    await this.sessions.revokeAll(id);
  }

  /** Brings a user that exists into an organisation, or changes the roles there. */
  async join(actor: Principal, organisation: string, id: string, roles: string[]): Promise<UserInfo> {
    await this.roles.assertAssignable(actor, organisation, roles);
    if (!(await this.byId(id))) throw unknownUser(id);
    this.changes.note({ target: `user:${id}`, after: { organisation, roles } });
    await this.changes.apply(`user:${id}`, async () => {
      await this.database.query(
        `insert into membership (organisation, "user", roles) values ($1, $2, $3)
         on conflict (organisation, "user") do update set roles = excluded.roles`,
        [organisation, id, JSON.stringify(roles)],
      );
    });
    return this.get(organisation, id);
  }

  /** Ends a membership with all that the user has there; within a change. */
  async leave(organisation: string, id: string): Promise<void> {
    for (const table of ['membership where "user"', 'api_key where owner', 'session where "user"'])
      await this.database.query(`delete from ${table} = $2 and organisation = $1`, [organisation, id]);
  }

  byUsername(username: string): Promise<UserRow | null> {
    return this.database.read((em) => em.findOne(UserEntity, { username: normalizeUsername(username) }));
  }

  byId(id: string): Promise<UserRow | null> {
    return this.database.read((em) => em.findOne(UserEntity, { id }));
  }

  /** Ids of the organisations that a user is a member of, home first. */
  async organisationsOf(id: string): Promise<string[]> {
    const rows = await this.database.query<{ organisation: string }>(
      `select m.organisation from membership m join user_account u on u.id = m."user"
       where u.id = $1 order by (m.organisation = u.home) desc, m.organisation`,
      [id],
    );
    return rows.map(({ organisation }) => organisation);
  }

  async changePassword(id: string, username: string, password: string, keepSession: string): Promise<void> {
    this.assertPassword(password, username);
    const passwordHash = await this.passwords.hash(password);
    this.changes.note({ target: `user:${id}` });
    await this.changes.apply(`user:${id}`, async (em) => {
      em.assign(await em.findOneOrFail(UserEntity, { id }), { passwordHash });
      await em.flush();
      await this.sessions.endAll(id, keepSession);
    });
  }

  /** Roles that come from elsewhere. */
  async replaceRoles(organisation: string, id: string, roles: readonly string[]): Promise<void> {
    this.changes.note({ target: `user:${id}`, after: { organisation, roles } });
    await this.changes.apply(`user:${id}`, () => this.#setRoles(organisation, id, roles));
  }

  /** Another hash of the same password. */
  async replaceHash(id: string, before: string, after: string): Promise<void> {
    await this.database.query('update user_account set password_hash = $3 where id = $1 and password_hash = $2', [
      id,
      before,
      after,
    ]);
  }

  /** Throws VALIDATION_FAILED. */
  assertPassword(password: string, username: string): void {
    const problem =
      password.length < this.minPasswordLength
        ? `must have at least ${this.minPasswordLength} characters`
        : password.toLowerCase().includes(username) && username.length > 3
          ? 'must not contain the user name'
          : new Set(password).size < 4
            ? 'must have more different characters'
            : undefined;
    if (problem)
      throw new AtollError('VALIDATION_FAILED', `The password ${problem}.`, {
        errors: [{ pointer: '/password', message: problem }],
      });
  }

  /** A member that the actor may change: nobody can change somebody who may do more. */
  async #managed(actor: Principal, organisation: string, id: string): Promise<MemberRow> {
    const user = await this.#member(organisation, id);
    assertCovers(actor, await this.roles.permissionsOf(user.roles, organisation));
    return user;
  }

  #assertHome({ home, username }: MemberRow, organisation: string): void {
    if (home !== organisation)
      throw new AtollError('FORBIDDEN', `The account "${username}" is managed by another organisation.`);
  }

  async #setRoles(organisation: string, id: string, roles: readonly string[]): Promise<void> {
    await this.database.query('update membership set roles = $3 where organisation = $1 and "user" = $2', [
      organisation,
      id,
      JSON.stringify(roles),
    ]);
  }

  async #member(organisation: string, id: string): Promise<MemberRow> {
    const rows = await this.database.query<Record<string, unknown>>(
      'select u.*, m.roles from user_account u join membership m on m."user" = u.id where m.organisation = $1 and u.id = $2',
      [organisation, id],
    );
    const [row] = await this.#mapped(rows);
    if (!row) throw unknownUser(id);
    return row;
  }

  /** Rows of users as the entity has them, with their roles. */
  #mapped(rows: Record<string, unknown>[]): Promise<MemberRow[]> {
    return this.database.read(async (em) =>
      rows.map(({ roles, ...row }) => Object.assign(em.map(UserEntity, row) as UserRow, { roles: roles as string[] })),
    );
  }
}

export const normalizeUsername = (text: string): string => text.normalize('NFKC').trim().toLowerCase();

function unknownUser(id: string): AtollError {
  return new AtollError('NOT_FOUND', `There is no user "${id.slice(0, 100)}".`);
}

function toInfo(user: MemberRow): UserInfo {
  const { id, username, name, email, home, disabled, roles } = user;
  return {
    id,
    username,
    ...(name && { name }),
    ...(email && { email }),
    roles,
    home,
    disabled,
    twoFactor: user.totpEnabled,
    createdAt: user.createdAt.toISOString(),
    updatedAt: user.updatedAt.toISOString(),
  };
}
