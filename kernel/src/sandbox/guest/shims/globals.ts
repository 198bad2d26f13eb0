/*
 * Private stand-ins for what undici and others read of Node, given to them by esbuild's `inject`. None of it becomes a global of
 * the guest.
 */
const encoder = () => new TextEncoder();
const latin1 = (bytes: Uint8Array) => {
  let text = '';
  for (let at = 0; at < bytes.length; at += 8_192) text += String.fromCharCode(...bytes.subarray(at, at + 8_192));
  return text;
};

export class Buffer extends Uint8Array {
  static override from(value: unknown, encoding?: unknown): Buffer {
    if (typeof value === 'string') return Buffer.#fromString(value, String(encoding ?? 'utf8'));
    if (value instanceof ArrayBuffer) return new Buffer(value);
    if (ArrayBuffer.isView(value)) {
      const copy = new Buffer(value.byteLength);
      copy.set(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
      return copy;
    }
    const list = Array.from(value as ArrayLike<number>);
    const out = new Buffer(list.length);
    out.set(list);
    return out;
  }
  static #fromString(text: string, encoding: string): Buffer {
    if (encoding === 'utf8' || encoding === 'utf-8') return Buffer.from(encoder().encode(text));
    const binary = encoding === 'base64' ? atob(text.replace(/[^A-Za-z0-9+/]/g, '')) : text;
    const out = new Buffer(binary.length);
    for (let at = 0; at < binary.length; at++) out[at] = binary.charCodeAt(at) & 255;
    return out;
  }
  static alloc = (size: number) => new Buffer(size);
  static allocUnsafe = (size: number) => new Buffer(size);
  static isBuffer = (value: unknown) => value instanceof Buffer;
  static byteLength = (value: string | ArrayBufferView) =>
    typeof value === 'string' ? encoder().encode(value).length : value.byteLength;
  static concat(list: Uint8Array[], total = list.reduce((sum, part) => sum + part.length, 0)): Buffer {
    const out = new Buffer(total);
    let at = 0;
    for (const part of list) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
  override toString(encoding = 'utf8', start = 0, end = this.length): string {
    const part = new Uint8Array(this.buffer, this.byteOffset + start, Math.max(0, end - start));
    if (encoding === 'latin1' || encoding === 'binary' || encoding === 'ascii') return latin1(part);
    if (encoding === 'base64') return btoa(latin1(part));
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(part);
  }
  override indexOf(value: unknown, from = 0): number {
    if (typeof value === 'number') return super.indexOf(value, from);
    const wanted = typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
    for (let at = from; at <= this.length - wanted.length; at++) {
      if (wanted.every((byte, offset) => this[at + offset] === byte)) return at;
    }
    return -1;
  }
  equals(other: Uint8Array): boolean {
    return this.length === other.length && this.every((byte, at) => byte === other[at]);
  }
}

export const process = {
  platform: 'linux',
  versions: {},
  env: {},
  emitWarning() {},
  nextTick: (task: () => void) => queueMicrotask(task),
};
/** Some libraries read its prototype while they load; the real one is removed from guests. */
// biome-ignore lint/suspicious/noShadowRestrictedNames: to stand in for it is the purpose
export class SharedArrayBuffer {
  get byteLength(): number {
    throw new TypeError('not a SharedArrayBuffer');
  }
  get growable(): boolean {
    throw new TypeError('not a SharedArrayBuffer');
  }
}
export class MessagePort {}
