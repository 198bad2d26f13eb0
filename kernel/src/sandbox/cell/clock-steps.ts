/** Less than this is the clock's drift, or how long it takes to read two clocks, in ms. */
const NOTICED_MS = 250;

const offset = (): number => Date.now() - performance.now();

/** Notices when the system clock was set. */
export class ClockSteps {
  #offset = offset();

  /** By how many ms since the last call; 0 when it was not. */
  take(): number {
    const now = offset();
    const step = Math.round(now - this.#offset);
    if (Math.abs(step) < NOTICED_MS) return 0;
    this.#offset = now;
    return step;
  }
}
