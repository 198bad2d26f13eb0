/** One piece of work after the other. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** Resolves when all that was begun so far has ended, however. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
