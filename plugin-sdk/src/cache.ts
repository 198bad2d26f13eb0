export interface CacheOptions {
  /** How long it is kept at most, in ms; `cache.defaultTtlMs` of the configuration when absent. It may go earlier. */
  ttl?: number;
  /** For `invalidateTag`; 20 at most. */
  tags?: string[];
}

/**
 * What is expensive to come by, kept for a while: JSON values, or bytes (`Uint8Array`). A plugin has its own cache, apart for each
 * organisation: a call sees what belongs to that of its caller. Needs `permissions.cache`. Anything may be gone at any time: while Redis is
 * away there is nothing in it, and nothing fails.
 */
export interface Cache {
  get<T = unknown>(key: string): Promise<T | undefined>;
  /** Throws CACHE_VALUE_TOO_LARGE. */
  set(key: string, value: unknown, options?: CacheOptions): Promise<void>;
  /** Whether there was a value. */
  delete(key: string): Promise<boolean>;
  /**
   * The value, or what `load` gives, which is kept then. Of those who ask meanwhile one loads, and the others wait for that, also for its
   * error. In one kernel this is always so while the load lasts no longer than its call and `cache.maxLoadMs`; of several kernels that share
   * Redis one loads while Redis can be reached. What is invalidated or set during a load is not overwritten by it. `undefined` and values
   * that are too large are not kept.
   */
  getOrSet<T>(key: string, load: () => T | Promise<T>, options?: CacheOptions): Promise<T>;
  /** Drops everything with one of these tags. */
  invalidateTag(...tags: string[]): Promise<void>;
  /** Drops everything of the caller's organisation. */
  clear(): Promise<void>;
}
