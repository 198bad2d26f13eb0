import { isArrayBuffer } from './clone.js';
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
/** Tells the cell of keys that are no longer reachable. Made on first use: a snapshot can't hold one with entries. */
let registry: FinalizationRegistry<number> | undefined;
let released: number[] = [];

/** In one call, however many the collector found: calls beyond a number are refused, and those keys would stay for ever. */
function release(id: number): void {
  if (released.push(id) > 1) return;
  queueMicrotask(() => {
    void webHost().call('crypto.release', { ids: released });
    released = [];
  });
}

class CryptoKey {
  readonly #info: KeyInfo;
  constructor(key?: symbol, info?: KeyInfo) {
    if (key !== KEY || !info) throw new TypeError('Illegal constructor');
    this.#info = info;
    handles.set(this, info.$key);
    registry ??= new FinalizationRegistry(release);
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

const HEX = Array.from({ length: 256 }, (_, byte) => (byte < 16 ? '0' : '') + byte.toString(16));
const toHex = (bytes: Uint8Array) => {
  let out = '';
  for (let at = 0; at < bytes.length; at++) out += HEX[bytes[at]!];
  return out;
};
const digitAt = (text: string, at: number) => {
  const code = text.charCodeAt(at);
  return code < 58 ? code - 48 : code - 87;
};
const fromHex = (text: string) => {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++) bytes[at] = (digitAt(text, at * 2) << 4) | digitAt(text, at * 2 + 1);
  return bytes;
};

function bytesOf(value: unknown): Uint8Array | undefined {
  if (isArrayBuffer(value)) return new Uint8Array(value);
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
  if (Object.hasOwn(value, '$hex')) return fromHex(String((value as { $hex: unknown }).$hex));
  if (Object.hasOwn(value, '$key')) {
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
  if (dataAt >= 0 && !data) throw new TypeError(`${operation} needs its data as bytes.`);
  const encoded = args.map((argument, at) => (at === dataAt && data ? { $data: 1 } : encode(argument)));
  const reply = await webHost().call('crypto.subtle', { operation, args: encoded }, data?.slice());
  const meta = reply.meta as { e?: [string, string]; v?: unknown };
  if (meta.e) throw reviveError(meta.e);
  return reply.bytes ? reply.bytes.slice().buffer : decode(meta.v);
}

class SubtleCrypto {
  constructor(key?: symbol) {
    if (key !== KEY) throw new TypeError('Illegal constructor');
  }
}

/** Method → number of its required arguments, and which of them is the data. */
const METHODS: Record<string, [required: number, dataAt?: number]> = {
  encrypt: [3, 2], decrypt: [3, 2], sign: [3, 2], verify: [4, 3], digest: [2, 1], generateKey: [3], deriveKey: [5], deriveBits: [2],
  importKey: [5], exportKey: [2], wrapKey: [4], unwrapKey: [7],
}; // biome-ignore format: a table

for (const [name, [required, dataAt]] of Object.entries(METHODS)) {
  const method = async function method(this: unknown, ...args: unknown[]): Promise<unknown> {
    if (!(this instanceof SubtleCrypto)) throw new TypeError('Illegal invocation');
    if (args.length < required) throw new TypeError(`${name} needs ${required} arguments, got ${args.length}.`);
    return run(name, args, dataAt);
  };
  Object.defineProperty(method, 'name', { value: name });
  Object.defineProperty(method, 'length', { value: required });
  Object.defineProperty(SubtleCrypto.prototype, name, {
    value: method,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

const INTEGER_ARRAYS = new Set([
  'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array', 'Uint32Array', 'BigInt64Array', 'BigUint64Array',
]); // biome-ignore format: a list

// The engine's own getters: a guest's object may claim any tag and length.
const TypedArray = Object.getPrototypeOf(Uint8Array) as { prototype: object };
const slot = (name: string | symbol) =>
  Object.getOwnPropertyDescriptor(TypedArray.prototype, name)!.get as (this: unknown) => unknown;
const [kindOf, sizeOf, offsetOf, bufferOf] = [Symbol.toStringTag, 'byteLength', 'byteOffset', 'buffer'].map(slot) as [
  () => string | undefined,
  () => number,
  () => number,
  () => ArrayBuffer,
];
const MAX_RANDOM = 65_536;

class Crypto {
  readonly #subtle = new SubtleCrypto(KEY);

  constructor(key?: symbol) {
    if (key !== KEY) throw new TypeError('Illegal constructor');
  }

  get subtle(): SubtleCrypto {
    return this.#subtle;
  }

  getRandomValues<T extends ArrayBufferView>(array: T): T {
    if (!ArrayBuffer.isView(array)) throw new TypeError('getRandomValues needs a typed array.');
    if (!INTEGER_ARRAYS.has(Reflect.apply(kindOf, array, []) ?? ''))
      throw new DOMException('An integer typed array is needed.', 'TypeMismatchError');
    const size = Reflect.apply(sizeOf, array, []);
    if (size > MAX_RANDOM) throw new DOMException('More than 65536 bytes of randomness at once.', 'QuotaExceededError');
    const random = fromHex(webHost().sync('random', String(size)));
    new Uint8Array(Reflect.apply(bufferOf, array, []), Reflect.apply(offsetOf, array, []), size).set(random);
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
defineClass('SubtleCrypto', SubtleCrypto as never);
defineClass('Crypto', Crypto as never);
defineGlobal('crypto', new Crypto(KEY));
