/** Limits how many log lines a guest may send, and says how many it swallowed. */
export class LogBudget {
  #left: number;
  #dropped = 0;
  #since = performance.now();

  constructor(private readonly perSecond = 200) {
    this.#left = perSecond;
  }

  /** Whether this line may pass; `dropped` is what was swallowed before it. One that does not fit is swallowed, too. */
  take(fits: boolean): { pass: boolean; dropped: number } {
    const now = performance.now();
    if (now - this.#since >= 1_000) {
      this.#since = now;
      this.#left = this.perSecond;
    }
    if (!fits || this.#left <= 0) {
      this.#dropped++;
      return { pass: false, dropped: 0 };
    }
    this.#left--;
    const dropped = this.#dropped;
    this.#dropped = 0;
    return { pass: true, dropped };
  }
}
