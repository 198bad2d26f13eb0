import type { Readable } from 'node:stream';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { toNetError } from './net-error.js';
import type { Scrubber } from './scrubber.js';

export interface ResponseBodyOptions {
  origin: string;
  /** In bytes, decompressed. */
  limit: number;
  scrubber: Scrubber;
  signal: AbortSignal;
  /** Called once, when nothing more will come: at the end, at an error, or when the reader gives up. */
  onEnd: () => void;
}

/**
 * An answer's body for one reader, read only when the reader asks. Not a generator, since one that was never started ignores
 * `return`: the connection and the plugin's slot would stay taken.
 */
export class ResponseBody implements AsyncIterable<Buffer>, AsyncIterator<Buffer, undefined> {
  readonly #inner: AsyncIterator<Buffer>;
  readonly #onAbort = () => this.#close();
  #size = 0;
  #ended = false;

  constructor(
    private readonly source: Readable,
    private readonly options: ResponseBodyOptions,
  ) {
    // Errors are seen by whoever reads; before that nobody may be listening.
    source.on('error', () => {});
    this.#inner = source[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
    if (options.signal.aborted) this.#close();
    else options.signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    if (this.#ended && this.options.signal.aborted) throw toNetError(undefined, '', this.options.signal);
    if (this.#ended) return { done: true, value: undefined };
    try {
      return await this.#read();
    } catch (error) {
      this.#close();
      throw toNetError(error, this.options.origin, this.options.signal);
    }
  }

  async return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#close();
    return { done: true, value: undefined };
  }

  async #read(): Promise<IteratorResult<Buffer, undefined>> {
    const { limit, scrubber, origin } = this.options;
    for (;;) {
      const { done, value } = await this.#inner.next();
      if (done) {
        this.#close();
        const rest = scrubber.flush();
        return rest.length > 0 ? { done: false, value: rest } : { done: true, value: undefined };
      }
      this.#size += value.length;
      if (this.#size > limit)
        throw new AtollError('NET_TOO_LARGE', `The answer of ${origin} is larger than ${limit} bytes.`);
      const clean = scrubber.push(value);
      if (clean.length > 0) return { done: false, value: clean };
    }
  }

  #close(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.options.signal.removeEventListener('abort', this.#onAbort);
    this.source.destroy();
    this.options.onEnd();
  }
}
