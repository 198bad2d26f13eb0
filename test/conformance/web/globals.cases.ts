import { equal, ok, test } from '../harness.js';

/** Every interface, method and property that the minimum common web API (WinterTC, 2025) wants: present, or why not. */
const PRESENT = true;
const NO_WASM = 'WebAssembly memory is outside of the heap limit, so it is removed; there is no grant for it yet';
const NO_HOOK = 'the engine has no hook for unhandled rejections inside of an isolate; the cell logs them';

const STANDARD: Record<string, true | string> = {
  AbortController: PRESENT,
  AbortSignal: PRESENT,
  Blob: PRESENT,
  ByteLengthQueuingStrategy: PRESENT,
  CompressionStream: PRESENT,
  CountQueuingStrategy: PRESENT,
  Crypto: PRESENT,
  CryptoKey: PRESENT,
  CustomEvent: PRESENT,
  DecompressionStream: PRESENT,
  DOMException: PRESENT,
  ErrorEvent: PRESENT,
  Event: PRESENT,
  EventTarget: PRESENT,
  File: PRESENT,
  FormData: PRESENT,
  Headers: PRESENT,
  MessageChannel: PRESENT,
  MessageEvent: PRESENT,
  MessagePort: PRESENT,
  Performance: PRESENT,
  PromiseRejectionEvent: PRESENT,
  ReadableByteStreamController: PRESENT,
  ReadableStream: PRESENT,
  ReadableStreamBYOBReader: PRESENT,
  ReadableStreamBYOBRequest: PRESENT,
  ReadableStreamDefaultController: PRESENT,
  ReadableStreamDefaultReader: PRESENT,
  Request: PRESENT,
  Response: PRESENT,
  SubtleCrypto: PRESENT,
  TextDecoder: PRESENT,
  TextDecoderStream: PRESENT,
  TextEncoder: PRESENT,
  TextEncoderStream: PRESENT,
  TransformStream: PRESENT,
  TransformStreamDefaultController: PRESENT,
  URL: PRESENT,
  URLPattern: PRESENT,
  URLSearchParams: PRESENT,
  WritableStream: PRESENT,
  WritableStreamDefaultController: PRESENT,
  WritableStreamDefaultWriter: PRESENT,
  WebAssembly: NO_WASM,
  globalThis: PRESENT,
  atob: PRESENT,
  btoa: PRESENT,
  clearInterval: PRESENT,
  clearTimeout: PRESENT,
  console: PRESENT,
  crypto: PRESENT,
  'crypto.subtle': PRESENT,
  fetch: PRESENT,
  'navigator.userAgent': PRESENT,
  onerror: PRESENT,
  onrejectionhandled: NO_HOOK,
  onunhandledrejection: NO_HOOK,
  performance: PRESENT,
  'performance.now': PRESENT,
  'performance.timeOrigin': PRESENT,
  queueMicrotask: PRESENT,
  reportError: PRESENT,
  self: PRESENT,
  setInterval: PRESENT,
  setTimeout: PRESENT,
  structuredClone: PRESENT,
};

const lookUp = (path: string) =>
  path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown> | undefined)?.[name], globalThis);

for (const [name, wanted] of Object.entries(STANDARD)) {
  test(wanted === true ? `${name} is there` : `${name} is not: ${wanted}`, () => {
    const value = name === 'onerror' ? 'onerror' in globalThis : lookUp(name);
    if (wanted !== true) return equal(value, undefined);
    ok(value !== undefined, name);
    if (!/^[A-Z]/.test(name)) return;
    const type = value as { name: string; prototype: object };
    equal(type.name, name, 'its name');
    equal(Object.getOwnPropertyDescriptor(globalThis, name)?.enumerable, false, 'enumerable');
    equal((type.prototype as { [Symbol.toStringTag]?: string })[Symbol.toStringTag], name, 'its tag');
  });
}

/** What else there is: ECMAScript's own names aside, nothing but the standard's and these. */
const FURTHER = new Set([
  'addEventListener',
  'removeEventListener',
  'dispatchEvent',
  'navigator',
  'escape',
  'unescape',
  '__atollPlugin',
]);

test('nothing else is in reach', () => {
  const engine = new Set(
    (
      'Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error ' +
      'AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError globalThis JSON Math Intl ArrayBuffer ' +
      'Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float16Array Float32Array Float64Array Uint8ClampedArray ' +
      'BigUint64Array BigInt64Array DataView Map BigInt Set Iterator WeakMap WeakSet WeakRef Proxy Reflect FinalizationRegistry ' +
      'decodeURI decodeURIComponent encodeURI encodeURIComponent eval isFinite isNaN SuppressedError DisposableStack AsyncDisposableStack Temporal'
    ).split(' '),
  );
  const roots = new Set(Object.keys(STANDARD).map((name) => name.split('.')[0]!));
  const others = Object.getOwnPropertyNames(globalThis).filter(
    (name) => !engine.has(name) && !roots.has(name) && !FURTHER.has(name),
  );
  equal(others, []);
  for (const name of ['SharedArrayBuffer', 'Atomics', 'WebAssembly', 'require', 'process', 'Buffer', '__atollBoot'])
    equal(lookUp(name), undefined, name);
});
