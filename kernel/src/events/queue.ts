export interface QueueHooks<T> {
  /** Handles one item. A failure is reported and changes nothing for the next one. */
  handle: (item: T) => unknown;
  onError: (error: unknown) => void;
  /** Called once per burst: a flood must not become a flood of warnings. */
  onOverflow: () => void;
  /** The item is handled, pushed out or forgotten. */
  onLeave: (item: T) => void;
}

/**
 * A listener's bounded queue, drained one by one, in order. Overflow drops the oldest: newer state matters more than older. A burst
 * of overflow ends when the queue is half empty again.
 */
export class ListenerQueue<T> {
  readonly #items: T[] = [];
  #draining: Promise<void> | undefined;
  #closed = false;
  #overflowing = false;
  #dropped = 0;

  constructor(
    private readonly limit: number,
    private readonly hooks: QueueHooks<T>,
  ) {}

  /** Waiting items, without the one being handled. */
  get size(): number {
    return this.#items.length;
  }

  /** Items that were pushed out, ever. */
  get dropped(): number {
    return this.#dropped;
  }

  push(item: T): void {
    if (this.#closed) return this.#leave(item);
    this.#items.push(item);
    if (this.#items.length > this.limit) this.#dropOldest();
    this.#draining ??= this.#drain();
  }

  /** Forgets what waits. What is being handled runs to its end. */
  close(): void {
    this.#closed = true;
    for (const item of this.#items.splice(0)) this.#leave(item);
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
  }

  #dropOldest(): void {
    this.#leave(this.#items.shift()!);
    this.#dropped++;
    if (this.#overflowing) return;
    this.#overflowing = true;
    quietly(() => this.hooks.onOverflow());
  }

  #leave(item: T): void {
    quietly(() => this.hooks.onLeave(item));
  }

  async #drain(): Promise<void> {
    // Publishers never run listeners' code on their own stack.
    await null;
    while (this.#items.length > 0) {
      const item = this.#items.shift()!;
      if (this.#items.length <= this.limit / 2) this.#overflowing = false;
      try {
        await this.hooks.handle(item);
      } catch (error) {
        quietly(() => this.hooks.onError(error));
      }
      this.#leave(item);
    }
    this.#draining = undefined;
  }
}

/** A hook that fails must not stop a queue; there is nobody left to tell. */
function quietly(hook: () => void): void {
  try {
    hook();
  } catch {}
}
