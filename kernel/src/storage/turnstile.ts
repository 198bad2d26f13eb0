import { AtollError } from '@atoll/plugin-sdk/contract';

/** Lets so many through at a time; the others wait in order, and too many are turned away. So nobody takes all connections. */
export class Turnstile {
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    private readonly places: number,
    private readonly queue: number,
  ) {}

  /** Throws OVERLOADED, or what the signal was aborted with before its turn came. */
  async run<T>(work: () => Promise<T> | T, signal?: AbortSignal): Promise<T> {
    if (this.#inside >= this.places) {
      if (this.#waiting.length >= this.queue)
        throw new AtollError('OVERLOADED', 'Too many calls of this plugin wait for the database.');
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else this.#inside++;
    try {
      signal?.throwIfAborted();
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The place goes on to the next one.
      if (next) next();
      else this.#inside--;
    }
  }
}
