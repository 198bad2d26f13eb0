/** Passes a stream on as it is, one chunk at a time as before, and tells what went through. */
export class RecordedStream<T extends Buffer | string> implements AsyncIterableIterator<T> {
  readonly #source: AsyncIterator<T>;

  constructor(
    source: AsyncIterable<T>,
    private readonly onChunk: (chunk: T) => void,
    /** With the error that broke it; called when it ended or was given up. */
    private readonly onEnd: (error?: unknown) => void,
  ) {
    this.#source = source[Symbol.asyncIterator]();
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T>> {
    try {
      const result = await this.#source.next();
      if (result.done) this.onEnd();
      else this.onChunk(result.value);
      return result;
    } catch (error) {
      this.onEnd(error);
      throw error;
    }
  }

  async return(): Promise<IteratorResult<T>> {
    this.onEnd();
    return (await this.#source.return?.()) ?? { done: true, value: undefined };
  }
}
