/** The few members of `node:*` modules that undici's web classes use, in one module for all of them. */
const tag = (value: unknown) => Object.prototype.toString.call(value).slice(8, -1);

function assert(value: unknown, message?: string): void {
  if (!value) throw new TypeError(message ?? 'An internal check failed.');
}
assert.ok = assert;
assert.equal = (a: unknown, b: unknown) => assert(a === b);
assert.strictEqual = assert.equal;
assert.deepStrictEqual = (a: unknown, b: unknown) => assert(JSON.stringify(a) === JSON.stringify(b));
assert.notStrictEqual = (a: unknown, b: unknown) => assert(a !== b);

const types = {
  isProxy: () => false,
  isArrayBuffer: (value: unknown) => tag(value) === 'ArrayBuffer',
  isSharedArrayBuffer: () => false,
  isAnyArrayBuffer: (value: unknown) => tag(value) === 'ArrayBuffer',
  isTypedArray: (value: unknown) => ArrayBuffer.isView(value) && tag(value) !== 'DataView',
  isDataView: (value: unknown) => tag(value) === 'DataView',
  isUint8Array: (value: unknown) => tag(value) === 'Uint8Array',
  isArrayBufferView: (value: unknown) => ArrayBuffer.isView(value),
  isDate: (value: unknown) => value instanceof Date,
  isRegExp: (value: unknown) => value instanceof RegExp,
};

const inspect = Object.assign((value: unknown) => String(value), { custom: Symbol('inspect') });
class Empty {}
const disturbed = (stream: { _disturbed?: boolean; locked?: boolean }) => Boolean(stream._disturbed);
const errored = (stream: { _state?: string }) => stream._state === 'errored';

module.exports = Object.assign(assert, {
  types,
  inspect,
  ...types,
  formatWithOptions: (_: unknown, value: unknown) => String(value),
  deprecate: (task: unknown) => task,
  toUSVString: (text: string) => (String(text) as string & { toWellFormed(): string }).toWellFormed(),
  /** From 0 up to but not including `max`. undici makes multipart boundaries of it, which nobody may guess. */
  randomInt: (max: number) => {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2)) as unknown as [number, number];
    return Math.floor((((high >>> 11) * 2 ** 32 + low) / 2 ** 53) * max);
  },
  isDisturbed: disturbed,
  isErrored: errored,
  Transform: Empty,
  Readable: Empty,
  Stream: Empty,
  EventEmitter: Empty,
  IncomingMessage: Empty,
  ReadableStreamTee: undefined,
  performance: { now: () => performance.now(), timeOrigin: 0 },
  markAsUncloneable() {},
  stringify: (value: Record<string, string>) => new URLSearchParams(value).toString(),
  addAbortListener: (signal: AbortSignal, listener: () => void) => {
    signal.addEventListener('abort', listener, { once: true });
    return { [Symbol.dispose]: () => signal.removeEventListener('abort', listener) };
  },
});
