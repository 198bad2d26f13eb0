export interface Count {
  allowed: boolean;
  remaining: number;
  /** Until the window ends. */
  resetMs: number;
}

interface Window {
  count: number;
  /** By `performance.now()`: a system clock that is set makes no window longer or shorter. */
  until: number;
}

/** How many windows there are before those that are over are looked for. */
const SWEEP_AT = 1_000;

/**
 * Counts what happens within windows of time, in the memory of this process: rate-limiter-flexible, which counts in Redis,
 * goes by the system clock in memory.
 */
export class Windows {
  readonly #bySubject = new Map<string, Window>();
  #sweepAt = SWEEP_AT;

  constructor(
    private readonly points: number,
    private readonly seconds: number,
  ) {}

  count(subject: string): Count {
    const now = performance.now();
    let window = this.#bySubject.get(subject);
    if (!window || window.until <= now) window = this.#open(subject, now);
    window.count++;
    return {
      allowed: window.count <= this.points,
      remaining: Math.max(0, this.points - window.count),
      resetMs: window.until - now,
    };
  }

  #open(subject: string, now: number): Window {
    if (this.#bySubject.size >= this.#sweepAt) this.#sweep(now);
    const window = { count: 0, until: now + this.seconds * 1000 };
    this.#bySubject.set(subject, window);
    return window;
  }

  #sweep(now: number): void {
    for (const [subject, { until }] of this.#bySubject) if (until <= now) this.#bySubject.delete(subject);
    this.#sweepAt = Math.max(SWEEP_AT, this.#bySubject.size * 2);
  }
}
