import { defineClass, defineGlobal } from './define.js';
import { webHost } from './host.js';

/** A key as the cell describes it; the material stays there. */
interface KeyInfo {
  $key: number;
  type: string;
  extractable: boolean;
  algorithm: unknown;
  usages: string[];
}

const KEY = Symbol('construct');
const handles = new WeakMap<object, number>();
/** Tells the cell that a key is no longer reachable. Made on first use: a snapshot can't hold one with entries. */
let registry: FinalizationRegistry<number> | undefined;

class CryptoKey {
  readonly #info: KeyInfo;
  constructor(key?: symbol, info?: KeyInfo) {
    if (key !== KEY || !info) throw new TypeError('Illegal constructor');
    this.#info = info;
    handles.set(this, info.$key);
    registry ??= new FinalizationRegistry((id) => void webHost().call('crypto.release', { id }));
    registry.register(this, info.$key);
  }
  get type() {
    return this.#info.type;
  }
  get extractable() {
    return this.#info.extractable;
  }
  get algorithm() {
    return this.#info.algorithm;
  }
  get usages() {
    return [...this.#info.usages];
  }
}

const toHex = (bytes: Uint8Array) => {
  let out = '';
  for (const byte of bytes) out += (byte < 16 ? '0' : '') + byte.toString(16);
  return out;
};
const fromHex = (text: string) => {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16);
  return bytes;
};

function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return undefined;
}

/** Arguments as JSON: bytes as `{ $hex }`, keys as `{ $key }`. */
function encode(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth > 4) throw new TypeError('An argument is nested too deeply.');
  const handle = handles.get(value);
  if (handle !== undefined) return { $key: handle };
  const bytes = bytesOf(value);
  if (bytes) return { $hex: toHex(bytes) };
  if (Array.isArray(value)) return value.map((item) => encode(item, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, encode(item, depth + 1)]));
}

function decode(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('$hex' in value) return fromHex(String(value.$hex));
  if ('$key' in value) {
    const info = value as KeyInfo;
    return new CryptoKey(KEY, { ...info, algorithm: decode(info.algorithm) });
  }
  if (Array.isArray(value)) return value.map(decode);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, decode(item)]));
}

function reviveError([name, message]: [string, string]): Error {
  if (name === 'TypeError') return new TypeError(message);
  return new DOMException(message, name);
}

/** The data argument of an operation travels as bytes; all others are small. `$data` marks its place. */
async function run(operation: string, args: unknown[], dataAt = -1): Promise<unknown> {
  const data = dataAt >= 0 ? bytesOf(args[dataAt]) : undefined;
  const encoded = args.map((argument, at) => (at === dataAt && data ? { $data: 1 } : encode(argument)));
  const reply = await webHost().call('crypto.subtle', { operation, args: encoded }, data?.slice());
  const meta = reply.meta as { e?: [string, string]; v?: unknown };
  if (meta.e) throw reviveError(meta.e);
  return reply.bytes ? reply.bytes.slice().buffer : decode(meta.v);
}

class SubtleCrypto {
  digest = (algorithm: unknown, data: unknown) => run('digest', [algorithm, data], 1);
  encrypt = (algorithm: unknown, key: unknown, data: unknown) => run('encrypt', [algorithm, key, data], 2);
  decrypt = (algorithm: unknown, key: unknown, data: unknown) => run('decrypt', [algorithm, key, data], 2);
  sign = (algorithm: unknown, key: unknown, data: unknown) => run('sign', [algorithm, key, data], 2);
  verify = (algorithm: unknown, key: unknown, signature: unknown, data: unknown) =>
    run('verify', [algorithm, key, signature, data], 3);
  generateKey = (algorithm: unknown, extractable: boolean, usages: string[]) =>
    run('generateKey', [algorithm, extractable, usages]);
  importKey = (format: string, data: unknown, algorithm: unknown, extractable: boolean, usages: string[]) =>
    run('importKey', [format, data, algorithm, extractable, usages]);
  exportKey = (format: string, key: unknown) => run('exportKey', [format, key]);
  deriveBits = (algorithm: unknown, key: unknown, length: number | null = null) =>
    run('deriveBits', [algorithm, key, length]);
  deriveKey = (algorithm: unknown, key: unknown, derived: unknown, extractable: boolean, usages: string[]) =>
    run('deriveKey', [algorithm, key, derived, extractable, usages]);
  wrapKey = (format: string, key: unknown, wrapping: unknown, algorithm: unknown) =>
    run('wrapKey', [format, key, wrapping, algorithm]);
  unwrapKey = (
    format: string,
    wrapped: unknown,
    key: unknown,
    algorithm: unknown,
    result: unknown,
    extractable: boolean,
    usages: string[],
  ) => run('unwrapKey', [format, wrapped, key, algorithm, result, extractable, usages]);
}

const INTEGER_ARRAYS = new Set([
  'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array', 'BigUint64Array',
]); // biome-ignore format: a list

class Crypto {
  readonly subtle = new SubtleCrypto();

  getRandomValues<T extends ArrayBufferView>(array: T): T {
    const type = Object.prototype.toString.call(array).slice(8, -1);
    if (!INTEGER_ARRAYS.has(type)) throw new DOMException('An integer typed array is needed.', 'TypeMismatchError');
    if (array.byteLength > 65_536)
      throw new DOMException('More than 65536 bytes of randomness at once.', 'QuotaExceededError');
    const random = fromHex(webHost().sync('random', String(array.byteLength)));
    new Uint8Array(array.buffer, array.byteOffset, array.byteLength).set(random);
    return array;
  }

  randomUUID(): string {
    const bytes = this.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    return toHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  }
}

defineClass('CryptoKey', CryptoKey as never);
defineClass('SubtleCrypto', SubtleCrypto);
defineClass('Crypto', Crypto);
defineGlobal('crypto', new Crypto());
