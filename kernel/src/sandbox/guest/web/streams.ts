import * as streams from 'web-streams-polyfill';
import { defineClass } from './define.js';

for (const [name, value] of Object.entries(streams)) {
  if (typeof value === 'function' && /^[A-Z]/.test(name)) defineClass(name, value as never);
}

// The library brings an AsyncIterator.prototype of its own.
const iterator = Object.getPrototypeOf(new ReadableStream().values()) as object;
const { prototype } = async function* () {};
Object.setPrototypeOf(iterator, Object.getPrototypeOf(Object.getPrototypeOf(prototype)) as object);

class TextEncoderStream {
  readonly #transform: TransformStream<string, Uint8Array>;
  constructor() {
    const encoder = new TextEncoder();
    // A surrogate pair may be cut in two by the chunk border.
    let high = '';
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        // Not String(): that would take symbols.
        const text = `${high}${chunk}`;
        const last = text.charCodeAt(text.length - 1);
        high = last >= 0xd800 && last <= 0xdbff ? text.slice(-1) : '';
        const whole = high === '' ? text : text.slice(0, -1);
        if (whole !== '') controller.enqueue(encoder.encode(whole));
      },
      flush(controller) {
        if (high !== '') controller.enqueue(encoder.encode(high));
      },
    });
  }
  get encoding() {
    return 'utf-8';
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}

class TextDecoderStream {
  readonly #decoder: TextDecoder;
  readonly #transform: TransformStream<BufferSource, string>;
  constructor(label = 'utf-8', options: TextDecoderOptions = {}) {
    const decoder = new TextDecoder(label, options);
    this.#decoder = decoder;
    this.#transform = new TransformStream({
      transform(chunk, controller) {
        if (!ArrayBuffer.isView(chunk) && !(chunk instanceof ArrayBuffer))
          throw new TypeError('The chunk is not bytes.');
        const text = decoder.decode(chunk, { stream: true });
        if (text !== '') controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== '') controller.enqueue(text);
      },
    });
  }
  get encoding() {
    return this.#decoder.encoding;
  }
  get fatal() {
    return this.#decoder.fatal;
  }
  get ignoreBOM() {
    return this.#decoder.ignoreBOM;
  }
  get readable() {
    return this.#transform.readable;
  }
  get writable() {
    return this.#transform.writable;
  }
}

defineClass('TextEncoderStream', TextEncoderStream);
defineClass('TextDecoderStream', TextDecoderStream);
