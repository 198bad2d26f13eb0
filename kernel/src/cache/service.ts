import { AtollError, type WireError } from '@atoll/plugin-sdk/contract';
import type { Config } from '../config/index.js';
import type { CacheEntry, CacheKey, CacheSpace, CacheStore } from './entry.js';
import { type Boarding, Flights, type Loader } from './flights.js';

export interface WriteOptions {
  ttlMs?: number;
  tags?: readonly string[];
}

export type CacheOutcome = 'hit' | 'miss';

/** The caches of plugins: each has its own, apart for each organisation. What is in there may be gone at any time. */
export class CacheService {
  readonly #flights: Flights;

  constructor(
    private readonly store: CacheStore,
    private readonly limits: Config['cache'],
    private readonly count: (plugin: string, outcome: CacheOutcome) => void,
  ) {
    this.#flights = new Flights(store, limits);
  }

  async get(at: CacheKey): Promise<CacheEntry | undefined> {
    const entry = await this.store.get(at);
    this.count(at.plugin, entry ? 'hit' : 'miss');
    return entry;
  }

  /** Throws CACHE_VALUE_TOO_LARGE. */
  async set(at: CacheKey, entry: CacheEntry, options: WriteOptions): Promise<void> {
    if (!this.#fits(entry))
      throw new AtollError(
        'CACHE_VALUE_TOO_LARGE',
        `The value has ${entry.data.length} bytes; ${this.#maxValueBytes} are allowed.`,
      );
    this.#flights.forget(at, { key: at.key });
    await this.store.set(at, entry, this.#complete(options));
  }

  async delete(at: CacheKey): Promise<boolean> {
    this.#flights.forget(at, { key: at.key });
    return this.store.delete(at);
  }

  async invalidate(space: CacheSpace, tags: readonly string[]): Promise<void> {
    this.#flights.forget(space, { tags });
    await this.store.invalidate(space, tags);
  }

  async clear(space: CacheSpace): Promise<void> {
    this.#flights.forget(space, 'all');
    await this.store.clear(space);
  }

  /** Drops everything of a plugin. */
  async purge(plugin: string): Promise<void> {
    this.#flights.forgetPlugin(plugin);
    await this.store.purge(plugin);
  }

  /** The value, or leave to load it; see Flights. */
  async board(at: CacheKey, tags: readonly string[], loader: Loader, signal: AbortSignal): Promise<Boarding> {
    const boarding = await this.#flights.board(at, tags, loader, signal);
    this.count(at.plugin, 'entry' in boarding ? 'hit' : 'miss');
    return boarding;
  }

  /** What was loaded, for those who wait; kept unless it is too large, or was invalidated meanwhile. */
  finish(plugin: string, lead: string, entry: CacheEntry | undefined, options: WriteOptions): Promise<void> {
    const keep = entry !== undefined && this.#fits(entry);
    return this.#flights.finish(plugin, lead, entry, { ...this.#complete(options), keep });
  }

  abandon(plugin: string, lead: string, error?: WireError): Promise<void> {
    return this.#flights.abandon(plugin, lead, error);
  }

  close(): void {
    this.store.close();
  }

  get #maxValueBytes(): number {
    return Math.min(this.limits.maxValueBytes, this.limits.maxBytes);
  }

  #fits({ data }: CacheEntry): boolean {
    return data.length <= this.#maxValueBytes;
  }

  #complete({ ttlMs = this.limits.defaultTtlMs, tags = [] }: WriteOptions) {
    return { ttlMs, tags: [...new Set(tags)] };
  }
}
