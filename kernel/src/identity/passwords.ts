import { argon2, type Argon2Parameters, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { Gate } from './gate.js';

const derive = promisify<'argon2id', Argon2Parameters, Buffer>(argon2);

/** As OWASP recommends for argon2id: 19 MiB, two passes. */
const COST = { memory: 19_456, passes: 2, parallelism: 1 };
const TAG_BYTES = 32;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,8}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;
/** Hashing is meant to be expensive; more at once would keep the process from everything else. */
const AT_ONCE = 2;
const MAX_WAITING = 64;

/** Hashes and checks passwords with argon2id, in the PHC string format. Rejects with OVERLOADED when too many are waiting. */
export class Passwords {
  readonly #gate = new Gate(AT_ONCE, MAX_WAITING, 'Too many logins at the same time.');
  readonly #nobodys = encode(randomBytes(16), randomBytes(TAG_BYTES), COST);

  async hash(password: string): Promise<string> {
    const salt = randomBytes(16);
    return encode(salt, await this.#derive(password, salt, COST), COST);
  }

  /** Takes the same time when there is no hash, and is false then. */
  async verify(password: string, stored: string | null | undefined): Promise<boolean> {
    const { cost, salt, tag } = decode(stored ?? this.#nobodys);
    const derived = await this.#derive(password, salt, cost, tag.length);
    return timingSafeEqual(derived, tag) && typeof stored === 'string';
  }

  /** Whether it was made with another cost than new ones are. */
  isOutdated(stored: string): boolean {
    const { memory, passes, parallelism } = decode(stored).cost;
    return memory !== COST.memory || passes !== COST.passes || parallelism !== COST.parallelism;
  }

  #derive(password: string, nonce: Buffer, cost: typeof COST, tagLength = TAG_BYTES): Promise<Buffer> {
    // The same password can be typed in several ways.
    const message = Buffer.from(password.normalize('NFKC'));
    return this.#gate.run(() => derive('argon2id', { ...cost, message, nonce, tagLength }));
  }
}

const text = (bytes: Buffer): string => bytes.toString('base64').replace(/=+$/, '');

function encode(salt: Buffer, tag: Buffer, { memory, passes, parallelism }: typeof COST): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${text(salt)}$${text(tag)}`;
}

function decode(stored: string): { cost: typeof COST; salt: Buffer; tag: Buffer } {
  const [, memory, passes, parallelism, salt, tag] = PHC.exec(stored) ?? [];
  if (salt === undefined || tag === undefined) throw new AtollError('INTERNAL', 'A stored password hash is malformed.');
  return {
    cost: { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, 'base64'),
    tag: Buffer.from(tag, 'base64'),
  };
}
