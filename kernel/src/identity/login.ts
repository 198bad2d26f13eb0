import { AtollError } from '@atoll/plugin-sdk/contract';
import type { IdentityChanges } from './changes.js';
import type { LoginThrottle } from './login-throttle.js';
import type { Passwords } from './passwords.js';
import type { Client, Sessions, Tokens } from './sessions.js';
import { type TwoFactor, wrongCode } from './two-factor.js';
import type { UserRow } from './user-entity.js';
import { normalizeUsername, type Users } from './users.js';

export interface LoginInput {
  username: string;
  password: string;
  /** Of the authenticator app. */
  code?: string;
  recoveryCode?: string;
  organisation?: string;
}

export interface LoginDeps {
  users: Users;
  passwords: Passwords;
  sessions: Sessions;
  throttle: LoginThrottle;
  twoFactor: TwoFactor;
  changes: IdentityChanges;
}

/** Logging in with a password, and a second factor where there is one. */
export class Login {
  constructor(private readonly deps: LoginDeps) {}

  /**
   * Throws LOGIN_FAILED, whatever was wrong of name and password; SECOND_FACTOR_NEEDED when they were right; TOO_MANY_REQUESTS after too
   * many failures.
   */
  async withPassword(input: LoginInput, client: Client): Promise<Tokens> {
    const { users, throttle, sessions } = this.deps;
    const attempt = await throttle.attempt(normalizeUsername(input.username), client.address);
    const user = await users.byUsername(input.username);
    if (user) this.deps.changes.note({ target: `user:${user.id}` });
    const right = await this.deps.passwords.verify(input.password, user?.passwordHash);
    if (!user || !right || user.disabled) throw failed();
    await this.#secondFactor(user, input);
    const organisation = await this.organisationFor(user.id, input.organisation);
    await attempt.succeeded();
    await this.#renewHash(user, input.password);
    return sessions.start(user.id, organisation, client);
  }

  /** Checks a password of somebody who is logged in, as carefully as at a login. */
  async confirmPassword(user: UserRow, password: string, client: Client): Promise<void> {
    const attempt = await this.deps.throttle.attempt(user.username, client.address);
    if (!(await this.deps.passwords.verify(password, user.passwordHash))) throw failed();
    await attempt.succeeded();
  }

  /** Checks a code of somebody who is logged in. */
  async confirmCode(user: UserRow, code: string): Promise<void> {
    await this.guarded(user.id, async () => {
      if (!(await this.deps.twoFactor.useCode(user, code))) throw wrongCode();
    });
  }

  /** Something that only works with the right code, so that codes can't be tried out. */
  async guarded<T>(user: string, work: () => Promise<T>): Promise<T> {
    const attempt = await this.deps.throttle.secondFactor(user);
    const result = await work();
    await attempt.succeeded();
    return result;
  }

  /** The organisation to act in: the one that is asked for, or home. Who is in none can't log in. */
  async organisationFor(user: string, wanted: string | undefined): Promise<string> {
    const member = await this.deps.users.organisationsOf(user);
    const organisation = wanted ?? member[0];
    if (organisation === undefined || !member.includes(organisation)) throw failed();
    return organisation;
  }

  async #secondFactor(user: UserRow, { code, recoveryCode }: LoginInput): Promise<void> {
    if (!user.totpEnabled) return;
    if (code === undefined && recoveryCode === undefined)
      throw new AtollError('SECOND_FACTOR_NEEDED', 'The password is right; the second factor is missing.');
    const { twoFactor } = this.deps;
    await this.guarded(user.id, async () => {
      const right =
        code !== undefined
          ? await twoFactor.useCode(user, code)
          : await twoFactor.useRecoveryCode(user.id, recoveryCode!);
      if (!right) throw failed();
    });
  }

  /** Only now is the password known; the hash follows today's cost. */
  async #renewHash({ id, passwordHash }: UserRow, password: string): Promise<void> {
    if (!passwordHash || !this.deps.passwords.isOutdated(passwordHash)) return;
    const renewed = await this.deps.passwords.hash(password);
    await this.deps.users.replaceHash(id, passwordHash, renewed);
  }
}

const failed = (): AtollError => new AtollError('LOGIN_FAILED', 'The user name, the password or the code is wrong.');
