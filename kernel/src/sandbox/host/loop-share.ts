/** Of the event loop's time, in the long run. */
const SHARE = 0.25;
/** What may be used at once, in ms, by one that used nothing for a while. */
const BURST_MS = 250;
/** What takes less, in ms, counts as nothing: much of it shares the loop with everything else by itself. */
const FREE_MS = 1;

/** The share of the kernel's event loop that one plugin has for host calls that take long to read. */
export class LoopShare {
  #left = BURST_MS;
  #at: number;

  constructor(private readonly now: () => number = () => performance.now()) {
    this.#at = now();
  }

  /** Ms until there is time again; 0 when there is. */
  get waitMs(): number {
    const now = this.now();
    this.#left = Math.min(BURST_MS, this.#left + (now - this.#at) * SHARE);
    this.#at = now;
    return this.#left > 0 ? 0 : Math.ceil(-this.#left / SHARE) + 1;
  }

  /** Runs something that takes of the share. */
  use(run: () => void): void {
    const began = this.now();
    run();
    const took = this.now() - began;
    if (took > FREE_MS) this.#left -= took;
  }
}
