/**
 * Fires callbacks at or shortly after a point in time. One timer for all, because every call has a deadline and few reach it. Times are those of
 * `performance.now()`: a system clock that is set must neither end what has time left nor keep what has none.
 */
export class Deadlines {
  readonly #buckets = new Map<number, Set<Deadline>>();
  #timer: NodeJS.Timeout | undefined;

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
    this.#timer ??= setInterval(() => this.#tick(), this.resolutionMs);
    return deadline;
  }

  #tick(): void {
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
