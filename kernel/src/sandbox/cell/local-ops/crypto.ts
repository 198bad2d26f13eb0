import { webcrypto } from 'node:crypto';

type Operation = keyof webcrypto.SubtleCrypto & string;
const OPERATIONS = new Set<string>([
  'digest', 'encrypt', 'decrypt', 'sign', 'verify', 'generateKey', 'importKey', 'exportKey', 'deriveBits', 'deriveKey', 'wrapKey', 'unwrapKey',
]); // biome-ignore format: a list

const MAX_KEYS = 1_000;
/** Bounds on what one call may cost: without them a guest could keep the threads that all guests of the cell share. */
const MAX_ITERATIONS = 1_000_000;
const MAX_RSA_BITS = 4_096;
const MAX_DERIVED_BITS = 1_048_576;

interface Reply {
  meta: unknown;
  bytes?: Uint8Array;
}

/** `crypto.subtle` of one guest. Key material never leaves this process except by exportKey. */
export class GuestCrypto {
  readonly #keys = new Map<number, webcrypto.CryptoKey>();
  #nextKey = 1;

  async call(operation: string, meta: unknown, bytes?: Buffer): Promise<Reply> {
    try {
      if (operation === 'crypto.release') {
        this.#keys.delete(Number((meta as { id?: unknown })?.id));
        return { meta: {} };
      }
      if (operation !== 'crypto.subtle') throw new TypeError('There is no such operation.');
      return this.#encode(await this.#run(meta, bytes));
    } catch (error) {
      return { meta: { e: describe(error) } };
    }
  }

  dispose(): void {
    this.#keys.clear();
  }

  #run(meta: unknown, bytes: Buffer | undefined): Promise<unknown> {
    const { operation, args } = meta as { operation?: unknown; args?: unknown };
    if (typeof operation !== 'string' || !OPERATIONS.has(operation) || !Array.isArray(args))
      throw new TypeError('There is no such operation.');
    const decoded = args.map((argument) => this.#decode(argument, bytes, 0));
    for (const argument of decoded) assertAffordable(argument);
    if (operation === 'deriveBits' && Number(decoded[2]) > MAX_DERIVED_BITS) throw new TypeError('Too many bits.');
    const method = webcrypto.subtle[operation as Operation] as (...args: unknown[]) => Promise<unknown>;
    return Reflect.apply(method, webcrypto.subtle, decoded);
  }

  #decode(value: unknown, bytes: Buffer | undefined, depth: number): unknown {
    if (typeof value !== 'object' || value === null) return value;
    if (depth > 5) throw new TypeError('An argument is nested too deeply.');
    if (Array.isArray(value)) return value.map((item) => this.#decode(item, bytes, depth + 1));
    if (Object.hasOwn(value, '$data')) return bytes ?? Buffer.alloc(0);
    const { $hex, $key } = value as { $hex?: unknown; $key?: unknown };
    // A plain Uint8Array: node refuses a Buffer as an RSA exponent.
    if (typeof $hex === 'string') return new Uint8Array(Buffer.from($hex, 'hex'));
    if ($key !== undefined) {
      const key = this.#keys.get(Number($key));
      if (!key) throw new TypeError('The key is gone.');
      return key;
    }
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [name, this.#decode(item, bytes, depth + 1)]),
    );
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
    if (this.#keys.size >= MAX_KEYS) throw new TypeError(`More than ${MAX_KEYS} keys are in use.`);
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

function assertAffordable(argument: unknown): void {
  if (typeof argument !== 'object' || argument === null) return;
  const { iterations, modulusLength } = argument as { iterations?: unknown; modulusLength?: unknown };
  if (Number(iterations) > MAX_ITERATIONS) throw new TypeError(`More than ${MAX_ITERATIONS} iterations.`);
  if (Number(modulusLength) > MAX_RSA_BITS) throw new TypeError(`RSA keys may have at most ${MAX_RSA_BITS} bits.`);
}

/** Name and message only: stacks hold host paths. */
function describe(error: unknown): [string, string] {
  if (!(error instanceof Error)) return ['OperationError', 'The operation failed.'];
  return [
    error.name === 'TypeError' ? 'TypeError' : /Error$/.test(error.name) ? error.name : 'OperationError',
    error.message.slice(0, 500),
  ];
}
