import { randomInt } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { Secret, TOTP } from 'otpauth';
import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';
import type { IdentityChanges } from './changes.js';
import { hashSecret } from './secret-text.js';
import { UserEntity, type UserRow } from './user-entity.js';

export const TOTP_USE = 'second factors';
const PERIOD_S = 30;
/** A clock may be off by one step. */
const WINDOW = 1;
const RECOVERY_CODES = 10;
const ALPHABET = '23456789abcdefghjkmnpqrstuvwxyz';

/** Codes of authenticator apps (RFC 6238), and recovery codes for those who lose theirs. */
export class TwoFactor {
  constructor(
    private readonly database: Database,
    private readonly changes: IdentityChanges,
    private readonly master: MasterKey,
    private readonly now: () => number = Date.now,
  ) {}

  /** A new secret for the app; it counts from `enable` on. Throws CONFLICT when there is a second factor already. */
  async begin(user: UserRow): Promise<{ secret: string; uri: string }> {
    if (user.totpEnabled) throw new AtollError('CONFLICT', 'There is a second factor. Disable it first.');
    const secret = new Secret({ size: 20 });
    const totpSecret = this.master.seal(TOTP_USE, user.id, secret.base32);
    this.changes.note({ target: `user:${user.id}` });
    await this.changes.apply(`user:${user.id}`, async (em) => {
      em.assign(await em.findOneOrFail(UserEntity, { id: user.id }), { totpSecret });
    });
    return { secret: secret.base32, uri: totpOf(user.username, secret).toString() };
  }

  /** From now on logins need a code. Resolves with the recovery codes, which are shown this once. */
  async enable(user: UserRow, code: string): Promise<string[]> {
    if (user.totpEnabled) throw new AtollError('CONFLICT', 'There is a second factor already.');
    if (!user.totpSecret) throw new AtollError('CONFLICT', 'Ask for a secret first: POST /api/v1/auth/totp/setup.');
    const step = this.#stepOf(user, code);
    if (step === undefined) throw wrongCode();
    this.changes.note({ target: `user:${user.id}`, after: { twoFactor: true } });
    return this.changes.apply(`user:${user.id}`, async (em) => {
      em.assign(await em.findOneOrFail(UserEntity, { id: user.id }), { totpEnabled: true, totpLastStep: step });
      return this.#newRecoveryCodes(user.id);
    });
  }

  async disable(user: UserRow): Promise<void> {
    this.changes.note({ target: `user:${user.id}` });
    await this.changes.apply(`user:${user.id}`, async (em) => {
      const row = await em.findOneOrFail(UserEntity, { id: user.id });
      em.assign(row, { totpEnabled: false, totpSecret: null, totpLastStep: null });
      await this.database.query('delete from recovery_code where "user" = $1', [user.id]);
    });
  }

  /** New ones in place of all that are left. */
  renewRecoveryCodes(user: string): Promise<string[]> {
    this.changes.note({ target: `user:${user}` });
    return this.changes.apply(`user:${user}`, () => this.#newRecoveryCodes(user));
  }

  /** Whether the code is right and was not used before; it is used now. */
  async useCode(user: UserRow, code: string): Promise<boolean> {
    const step = this.#stepOf(user, code);
    if (step === undefined) return false;
    // A last step that no code around now could be of is from before the clock was set back: nobody may be kept out by it until then.
    const used = await this.database.query(
      `update user_account set totp_last_step = $2
        where id = $1 and (totp_last_step is null or totp_last_step < $2 or totp_last_step > $2 + ${2 * WINDOW}) returning id`,
      [user.id, step],
    );
    return used.length > 0;
  }

  async useRecoveryCode(user: string, code: string): Promise<boolean> {
    const used = await this.database.query('delete from recovery_code where "user" = $1 and hash = $2 returning hash', [
      user,
      hashRecovery(user, code),
    ]);
    return used.length > 0;
  }

  /** The time step that a code is of; undefined when it is of none around now. */
  #stepOf({ id, username, totpSecret }: UserRow, code: string): number | undefined {
    if (!totpSecret || !/^\d{6}$/.test(code)) return undefined;
    const secret = Secret.fromBase32(this.master.open(TOTP_USE, id, totpSecret));
    const timestamp = this.now();
    const delta = totpOf(username, secret).validate({ token: code, timestamp, window: WINDOW });
    return delta === null ? undefined : Math.floor(timestamp / 1000 / PERIOD_S) + delta;
  }

  async #newRecoveryCodes(user: string): Promise<string[]> {
    const codes = Array.from({ length: RECOVERY_CODES }, newRecoveryCode);
    await this.database.query('delete from recovery_code where "user" = $1', [user]);
    await this.database.query('insert into recovery_code ("user", hash) select $1, unnest($2::text[])', [
      user,
      codes.map((code) => hashRecovery(user, code)),
    ]);
    return codes;
  }
}

export const wrongCode = (): AtollError => new AtollError('LOGIN_FAILED', 'The code is wrong, or was used already.');

const totpOf = (label: string, secret: Secret): TOTP => new TOTP({ issuer: 'Atoll', label, secret, period: PERIOD_S });

/** 60 bits, in groups that can be read aloud. */
function newRecoveryCode(): string {
  const letters = Array.from({ length: 12 }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  return letters.replace(/(.{4})(?!$)/g, '$1-');
}

const hashRecovery = (user: string, code: string): string =>
  hashSecret(`${user} ${code.toLowerCase().replace(/[^a-z0-9]/g, '')}`);
