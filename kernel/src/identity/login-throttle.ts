import { hash } from 'node:crypto';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Config } from '../config/index.js';
import type { Database } from '../database/index.js';
import { addressBlock } from '../http/client-address.js';

const FIRST_WAIT_S = 10;
const LONGEST_WAIT_S = 3_600;
/** Failures are forgotten after a day without another one. */
const STALE = `now() - interval '1 day'`;
const SWEEP_CHANCE = 0.01;

type Limits = Pick<Config['auth'], 'loginAttempts' | 'loginAttemptsPerAddress'>;

/**
 * Slows guessing down, in the database and so for all nodes: per account and address, so that nobody can lock out anybody elsewhere, and per
 * address over all accounts. An attempt counts before it is made, so that many at once gain nothing; a success takes it back.
 */
export class LoginThrottle {
  constructor(
    private readonly database: Database,
    private readonly limits: Limits,
  ) {}

  /** Throws TOO_MANY_REQUESTS with the seconds to wait. Unknown accounts count like others. */
  async attempt(account: string, address: string): Promise<Attempt> {
    const block = addressBlock(address);
    const pair = key('pair', account, block);
    const whole = key('address', block);
    await this.#count(whole, this.limits.loginAttemptsPerAddress);
    await this.#count(pair, this.limits.loginAttempts);
    if (Math.random() < SWEEP_CHANCE) await this.#sweep();
    return { succeeded: () => this.#forgive(pair, whole) };
  }

  /** For what only somebody with the right password can reach: counts whatever the address. */
  async secondFactor(user: string): Promise<Attempt> {
    const only = key('factor', user);
    await this.#count(only, this.limits.loginAttempts);
    return { succeeded: () => this.#forgive(only) };
  }

  async #count(id: string, free: number): Promise<void> {
    const failures = `case when t.updated_at < ${STALE} then 1 else t.failures + 1 end`;
    const wait = (count: string) =>
      `case when ${count} < $2::int then now() else now() + least($4::float8, $3::float8 * power(2, least(${count} - $2::int, 20))) * interval '1 second' end`;
    const counted = await this.database.query(
      `insert into login_throttle as t (key, failures, free_at, updated_at)
       values ($1, 1, ${wait('1')}, now())
       on conflict (key) do update set failures = ${failures}, free_at = ${wait(`(${failures})`)}, updated_at = now()
       where t.free_at <= now() returning 1`,
      [id, free, FIRST_WAIT_S, LONGEST_WAIT_S],
    );
    if (counted.length === 0)
      throw new AtollError('TOO_MANY_REQUESTS', 'Too many failed logins. Wait before the next try.', {
        retryAfter: Math.max(1, Math.ceil(await this.#secondsLeft(id))),
      });
  }

  /** Of a wait from before the clock was set back, all of it is left, and no more. */
  async #secondsLeft(id: string): Promise<number> {
    await this.database.query(
      `update login_throttle set free_at = now() + (free_at - updated_at), updated_at = now()
        where key = $1 and updated_at > now()`,
      [id],
    );
    const [row] = await this.database.query<{ seconds: string }>(
      'select extract(epoch from free_at - now()) as seconds from login_throttle where key = $1',
      [id],
    );
    return Number(row?.seconds ?? 0);
  }

  /** The account's own failures are over; of the address's only this one, for others' guesses come from there, too. */
  async #forgive(own: string, shared?: string): Promise<void> {
    await this.database.query('delete from login_throttle where key = $1', [own]);
    if (shared === undefined) return;
    await this.database.query(
      'update login_throttle set failures = greatest(failures - 1, 0), free_at = least(free_at, now()) where key = $1',
      [shared],
    );
  }

  async #sweep(): Promise<void> {
    await this.database.query(`delete from login_throttle where updated_at < ${STALE}`);
  }
}

export interface Attempt {
  succeeded(): Promise<void>;
}

/** Names of accounts are not kept as they were typed: some type their password there. */
const key = (...parts: string[]): string => hash('sha256', JSON.stringify(parts), 'base64url');
