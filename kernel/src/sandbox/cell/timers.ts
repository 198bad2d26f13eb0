/** A guest's timers. The cell keeps them, so that a spinning guest can't stop its own clock and a stopped one leaves nothing. */
export class GuestTimers {
  readonly #timers = new Map<number, NodeJS.Timeout>();

  constructor(
    private readonly fire: (id: number) => void,
    private readonly limit = 10_000,
  ) {}

  set(id: number, ms: number): void {
    if (this.#timers.size >= this.limit) return;
    this.clear(id);
    const delay = Number.isFinite(ms) ? Math.min(Math.max(ms, 0), 0x7fff_ffff) : 0;
    this.#timers.set(
      id,
      setTimeout(() => {
        this.#timers.delete(id);
        this.fire(id);
      }, delay),
    );
  }

  clear(id: number): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
  }

  get size(): number {
    return this.#timers.size;
  }

  dispose(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
