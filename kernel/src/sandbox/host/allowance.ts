/** How much of something may be held at once. */
export class Allowance {
  #held = 0;

  constructor(private readonly limit: number) {}

  get held(): number {
    return this.#held;
  }

  /** False, and nothing is taken, when that would be too much. */
  take(amount: number): boolean {
    if (this.#held + amount > this.limit) return false;
    this.#held += amount;
    return true;
  }

  give(amount: number): void {
    this.#held -= amount;
  }
}
