import { AtollError } from '@atoll/plugin-sdk/contract';

/** What the calls of a version came to. */
export interface CallFigures {
  calls: number;
  errors: number;
  /** 0 to 1; 0 without calls. */
  errorRate: number;
  /** Until the answer begins, in ms; null without calls. Of the latest calls. */
  p50Ms: number | null;
  p95Ms: number | null;
}

/** Latencies that are kept. */
const WINDOW = 1_000;

/** Counts the calls of a version. What the caller did wrong, or gave up, is no error of the plugin. */
export class CallMeter {
  readonly #latencies: number[] = [];
  #next = 0;
  #calls = 0;
  #errors = 0;

  /** Runs a call and counts it when it is answered; a stream that breaks later makes an error of it. */
  async measure<R extends { stream?: AsyncIterable<unknown> | undefined }>(
    call: () => Promise<R>,
    isError: (reply: R) => boolean = () => false,
  ): Promise<R> {
    const began = performance.now();
    try {
      const reply = await call();
      const failed = isError(reply);
      this.#add(performance.now() - began, failed);
      if (!reply.stream || failed) return reply;
      return { ...reply, stream: watched(reply.stream, () => this.#errors++) };
    } catch (error) {
      if (isFault(error)) this.#add(performance.now() - began, true);
      else if (!isCancelled(error)) this.#add(performance.now() - began, false);
      throw error;
    }
  }

  figures(): CallFigures {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (part: number) =>
      sorted.length === 0 ? null : round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!);
    return {
      calls: this.#calls,
      errors: this.#errors,
      errorRate: this.#calls === 0 ? 0 : this.#errors / this.#calls,
      p50Ms: at(0.5),
      p95Ms: at(0.95),
    };
  }

  #add(ms: number, failed: boolean): void {
    this.#calls++;
    if (failed) this.#errors++;
    this.#latencies[this.#next] = ms;
    this.#next = (this.#next + 1) % WINDOW;
  }
}

const round = (ms: number): number => Math.round(ms * 100) / 100;

const isCancelled = (error: unknown): boolean => error instanceof AtollError && error.status === 499;
const isFault = (error: unknown): boolean => !(error instanceof AtollError) || error.status >= 500;

/** Not a generator: one that was never begun would not tell the stream that it is given up. */
function watched<T>(stream: AsyncIterable<T>, failed: () => void): AsyncIterableIterator<T> {
  const inner = stream[Symbol.asyncIterator]();
  return {
    async next() {
      try {
        return await inner.next();
      } catch (error) {
        if (isFault(error)) failed();
        throw error;
      }
    },
    async return() {
      return (await inner.return?.()) ?? { done: true, value: undefined };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
