/** Lets so many run at a time; the others wait their turn. */
export class Gate {
  #running = 0;
  readonly #waiting: { start: () => void; refuse: (error: Error) => void }[] = [];

  constructor(private readonly width: number) {}

  async run<T>(task: () => Promise<T>): Promise<T> {
    if (this.#running >= this.width)
      await new Promise<void>((start, refuse) => {
        this.#waiting.push({ start, refuse });
      });
    else this.#running++;
    try {
      return await task();
    } finally {
      // The place goes straight to the next one, so that nobody can slip in between.
      const next = this.#waiting.shift();
      if (next) next.start();
      else this.#running--;
    }
  }

  /** Refuses all that wait. */
  clear(): void {
    for (const { refuse } of this.#waiting.splice(0)) refuse(new Error('The isolate ended.'));
  }
}
