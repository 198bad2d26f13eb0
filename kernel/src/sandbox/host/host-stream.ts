import type { AtollError } from '@atoll/plugin-sdk/contract';
import type { Allowance } from './allowance.js';
import { STREAM_WINDOW } from '../protocol/frame-type.js';

export interface HostStreamOptions {
  /** Where the bytes count that wait to be read. */
  memory: Allowance;
  /** Grants the guest this many more bytes. */
  credit: (bytes: number) => void;
  /** The consumer started (true) or stopped (false) waiting for the guest; it also stops, in this sense, when it begins to read. */
  waiting: (waits: boolean) => void;
  /** Called once. `cancelled`: the consumer gave up before the end. */
  done: (cancelled: boolean) => void;
}

/** A stream from a guest, read by the kernel as fast as its consumer asks. Breaking off the iteration cancels it in the guest. */
export class HostStream implements AsyncIterableIterator<Buffer> {
  #chunks: Buffer[] = [];
  #buffered = 0;
  #counts = true;
  #waiter: { resolve: (result: IteratorResult<Buffer>) => void; reject: (error: unknown) => void } | undefined;
  #ended = false;
  #error: AtollError | undefined;
  #consumed = 0;
  #begun = false;

  constructor(private readonly options: HostStreamOptions) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** False when the guest sent more than it was granted, or more than may wait in all. */
  push(chunk: Buffer): boolean {
    // Empty chunks cost no credit: kept, they would be a way to fill the kernel's memory.
    if (this.#ended || chunk.length === 0) return true;
    if (this.#waiter) {
      const { resolve } = this.#waiter;
      this.#waiter = undefined;
      this.options.waiting(false);
      this.#consume(chunk);
      resolve({ done: false, value: chunk });
      return true;
    }
    if (!this.options.memory.take(chunk.length)) return false;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    // One chunk may overshoot the window: guests count characters, and a single chunk may be larger than the window.
    return this.#buffered - chunk.length <= STREAM_WINDOW * 4;
  }

  end(): void {
    this.#finish(undefined);
  }

  /** What waits may still be read, and no longer counts. */
  fail(error: AtollError): void {
    this.#uncount();
    this.#finish(error);
  }

  next(): Promise<IteratorResult<Buffer>> {
    if (!this.#begun) this.options.waiting(false);
    this.#begun = true;
    const chunk = this.#chunks.shift();
    if (chunk) {
      if (this.#counts) {
        this.#buffered -= chunk.length;
        this.options.memory.give(chunk.length);
      }
      this.#consume(chunk);
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#error) {
      const error = this.#error;
      this.#error = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve({ done: true, value: undefined });
    this.options.waiting(true);
    return new Promise((resolve, reject) => {
      this.#waiter = { resolve, reject };
    });
  }

  return(): Promise<IteratorResult<Buffer>> {
    this.#chunks = [];
    this.#uncount();
    if (!this.#ended) {
      this.#ended = true;
      this.#waiter?.resolve({ done: true, value: undefined });
      this.#waiter = undefined;
      this.options.done(true);
    }
    return Promise.resolve({ done: true, value: undefined });
  }

  #uncount(): void {
    this.options.memory.give(this.#buffered);
    this.#buffered = 0;
    this.#counts = false;
  }

  #consume(chunk: Buffer): void {
    this.#consumed += chunk.length;
    if (this.#ended || this.#consumed < STREAM_WINDOW / 4) return;
    this.options.credit(this.#consumed);
    this.#consumed = 0;
  }

  #finish(error: AtollError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.options.done(false);
    if (!this.#waiter) {
      this.#error = error;
      return;
    }
    const { resolve, reject } = this.#waiter;
    this.#waiter = undefined;
    if (error) reject(error);
    else resolve({ done: true, value: undefined });
  }
}
