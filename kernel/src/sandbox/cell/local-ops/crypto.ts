import { webcrypto } from 'node:crypto';
import { assertAffordable, assertUsable } from './crypto-limits.js';
import { Gate } from './gate.js';

type Operation = keyof webcrypto.SubtleCrypto & string;
const OPERATIONS = new Set<string>([
  'digest', 'encrypt', 'decrypt', 'sign', 'verify', 'generateKey', 'importKey', 'exportKey', 'deriveBits', 'deriveKey', 'wrapKey', 'unwrapKey',
]); // biome-ignore format: a list

const MAX_KEYS = 10_000;
/** Of the four threads that all guests of a cell share. */
const MAX_RUNNING = 2;

interface Reply {
  meta: unknown;
  bytes?: Uint8Array;
}

/** `crypto.subtle` of one guest. Key material never leaves this process except by exportKey. */
export class GuestCrypto {
  /**
   * In the order of their last use. A guest's collector may be late to say that keys are gone, so the limit drops the one that was
   * not used for longest, instead of failing a plugin that imports a key per request.
   */
  readonly #keys = new Map<number, webcrypto.CryptoKey>();
  readonly #gate = new Gate(MAX_RUNNING);
  #nextKey = 1;

  async call(operation: string, meta: unknown, bytes?: Buffer): Promise<Reply> {
    try {
      if (operation === 'crypto.release') return this.#release(meta);
      if (operation !== 'crypto.subtle') throw new TypeError('There is no such operation.');
      return this.#encode(await this.#run(meta, bytes));
    } catch (error) {
      return { meta: { e: describe(error) } };
    }
  }

  dispose(): void {
    this.#gate.clear();
    this.#keys.clear();
  }

  #release(meta: unknown): Reply {
    const { ids } = (meta ?? {}) as { ids?: unknown };
    if (Array.isArray(ids)) for (const id of ids) this.#keys.delete(Number(id));
    return { meta: {} };
  }

  #run(meta: unknown, bytes: Buffer | undefined): Promise<unknown> {
    const { operation, args } = (meta ?? {}) as { operation?: unknown; args?: unknown };
    if (typeof operation !== 'string' || !OPERATIONS.has(operation) || !Array.isArray(args))
      throw new TypeError('There is no such operation.');
    const decoded = args.map((argument) => this.#decode(argument, bytes, 0));
    assertAffordable(operation, decoded);
    const method = webcrypto.subtle[operation as Operation] as (...args: unknown[]) => Promise<unknown>;
    return this.#gate.run(async () => Reflect.apply(method, webcrypto.subtle, decoded));
  }

  #decode(value: unknown, bytes: Buffer | undefined, depth: number): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (depth > 5) throw new TypeError('An argument is nested too deeply.');
    if (Array.isArray(value)) return value.map((item) => this.#decode(item, bytes, depth + 1));
    if (Object.hasOwn(value, '$data')) return bytes ?? Buffer.alloc(0);
    const { $hex, $key } = value as { $hex?: unknown; $key?: unknown };
    // A plain Uint8Array: node refuses a Buffer as an RSA exponent.
    if (typeof $hex === 'string') return new Uint8Array(Buffer.from($hex, 'hex'));
    if ($key !== undefined) return this.#use(Number($key));
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, this.#decode(item, bytes, depth + 1)]),
    );
  }

  #use(id: number): webcrypto.CryptoKey {
    const key = this.#keys.get(id);
    if (!key) throw new DOMException(`The key is gone: ${MAX_KEYS} others were used since.`, 'InvalidAccessError');
    this.#keys.delete(id);
    this.#keys.set(id, key);
    return key;
  }

  #encode(result: unknown): Reply {
    if (result instanceof ArrayBuffer) return { meta: {}, bytes: new Uint8Array(result) };
    if (isKey(result)) return { meta: { v: this.#keep(result) } };
    const pair = result as { publicKey?: unknown; privateKey?: unknown } | undefined;
    if (isKey(pair?.publicKey) && isKey(pair.privateKey)) {
      return { meta: { v: { publicKey: this.#keep(pair.publicKey), privateKey: this.#keep(pair.privateKey) } } };
    }
    return { meta: { v: result } };
  }

  #keep(key: webcrypto.CryptoKey): object {
    assertUsable(key);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size >= MAX_KEYS && oldest !== undefined) this.#keys.delete(oldest);
    const id = this.#nextKey++;
    this.#keys.set(id, key);
    const algorithm = Object.fromEntries(Object.entries(key.algorithm).map(([name, value]) => [name, plain(value)]));
    return { $key: id, type: key.type, extractable: key.extractable, algorithm, usages: key.usages };
  }
}

const isKey = (value: unknown): value is webcrypto.CryptoKey => value instanceof CryptoKey;

function plain(value: unknown): unknown {
  return value instanceof Uint8Array ? { $hex: Buffer.from(value).toString('hex') } : value;
}

/** Name and message only: stacks hold host paths. */
function describe(error: unknown): [string, string] {
  if (!(error instanceof Error)) return ['OperationError', 'The operation failed.'];
  const { name, message } = error;
  return [name === 'TypeError' || error instanceof DOMException ? name : 'OperationError', message.slice(0, 500)];
}
