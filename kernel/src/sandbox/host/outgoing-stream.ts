import { STREAM_WINDOW } from '../protocol/frame-type.js';

/** Sends a source to a guest, no further ahead than the guest has granted. */
export class OutgoingHostStream {
  #credit = STREAM_WINDOW;
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(
    private readonly source: AsyncIterable<Buffer | string>,
    private readonly send: (chunk: Buffer | string) => void,
    private readonly end: (error?: unknown) => void,
  ) {}

  grant(bytes: number): void {
    if (!Number.isSafeInteger(bytes) || bytes < 0) return;
    this.#credit = Math.min(this.#credit + bytes, STREAM_WINDOW * 2);
    this.#wake?.();
  }

  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  async pump(): Promise<void> {
    try {
      for await (const chunk of this.source) {
        while (this.#credit <= 0 && !this.#stopped) await this.#granted();
        if (this.#stopped) return;
        this.#credit -= chunk.length;
        this.send(chunk);
      }
      if (!this.#stopped) this.end();
    } catch (error) {
      if (!this.#stopped) this.end(error);
    }
  }

  async #granted(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }
}
