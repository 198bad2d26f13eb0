/** A tick that is later by this has been held up, in ms. */
const HELD_UP_MS = 100;

/**
 * Fires callbacks at or shortly after a point in time. One timer for all, because every call has a deadline and few reach it. Times are those of
 * `performance.now()`: a system clock that is set must neither end what has time left nor keep what has none.
 */
export class Deadlines {
  readonly #buckets = new Map<number, Set<Deadline>>();
  #timer: NodeJS.Timeout | undefined;
  #ticked = 0;

  constructor(
    /** Lateness allowed, in ms. */
    private readonly resolutionMs = 20,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Calls `onMissed` once `at` (of `performance.now()`) has passed, unless cleared. */
  add(at: number, onMissed: () => void): Deadline {
    const slot = Math.ceil(at / this.resolutionMs);
    let bucket = this.#buckets.get(slot);
    if (!bucket) {
      bucket = new Set();
      this.#buckets.set(slot, bucket);
    }
    const deadline = new Deadline(at, onMissed, bucket);
    bucket.add(deadline);
    this.#timer ??= this.#begin();
    return deadline;
  }

  #tick(): void {
    const now = this.now();
    const heldUp = now - this.#ticked > this.resolutionMs + HELD_UP_MS;
    this.#ticked = now;
    // Not before the sockets were read: when it is the kernel that was held up, many an answer is there already.
    if (heldUp) setImmediate(() => this.#miss());
    else this.#miss();
  }

  #miss(): void {
    const slot = Math.floor(this.now() / this.resolutionMs);
    for (const [key, bucket] of this.#buckets) {
      if (key > slot && bucket.size > 0) continue;
      this.#buckets.delete(key);
      for (const deadline of bucket) deadline.miss();
    }
    if (this.#buckets.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #begin(): NodeJS.Timeout {
    this.#ticked = this.now();
    return setInterval(() => this.#tick(), this.resolutionMs);
  }

  dispose(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#buckets.clear();
  }
}

export class Deadline {
  constructor(
    readonly at: number,
    private onMissed: (() => void) | undefined,
    private readonly bucket: Set<Deadline>,
  ) {}

  miss(): void {
    this.onMissed?.();
  }

  clear(): void {
    this.bucket.delete(this);
    // A set that is rehashed remembers what it held: that must not be a whole call. See ChurnMap.
    this.onMissed = undefined;
  }
}
