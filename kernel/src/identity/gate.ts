import { AtollError } from '@atoll/plugin-sdk/contract';

/** Lets a few in at once, some wait, and turns the rest away with OVERLOADED. */
export class Gate {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    private readonly atOnce: number,
    private readonly maxWaiting: number,
    private readonly refusal: string,
  ) {}

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.atOnce) await this.#wait();
    else this.#running++;
    try {
      return await work();
    } finally {
      // Whoever is next takes over this place.
      const next = this.#waiting.shift();
      if (next) next();
      else this.#running--;
    }
  }

  #wait(): Promise<void> {
    if (this.#waiting.length >= this.maxWaiting) throw new AtollError('OVERLOADED', this.refusal, { retryAfter: 2 });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}
