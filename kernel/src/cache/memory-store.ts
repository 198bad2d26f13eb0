import { LRUCache } from 'lru-cache';
import type {
  CacheEntry,
  CacheKey,
  CacheLimits,
  CacheSpace,
  CacheStore,
  Claim,
  Claimed,
  EntryOptions,
  LoadedEntry,
} from './entry.js';
import { sizeOf } from './entry.js';

interface Stored {
  entry: CacheEntry;
  org: string;
  tags: readonly string[];
}

/** How often entries are looked for that nobody has asked for since their time was over, in ms. */
const SWEEP_MS = 60_000;

/** The entries of one plugin; those used longest ago go first. */
class PluginEntries {
  readonly lru: LRUCache<string, Stored>;
  /** Organisation and tag → keys. */
  readonly #tagged = new Map<string, Set<string>>();

  constructor({ maxEntries, maxBytes }: CacheLimits, now: () => number) {
    this.lru = new LRUCache({
      max: maxEntries,
      maxSize: maxBytes,
      ttlResolution: 0,
      perf: { now },
      dispose: ({ org, tags }, id) => this.#untag(org, tags, id),
    });
  }

  set(id: string, stored: Stored, size: number, ttl: number): void {
    this.lru.set(id, stored, { size, ttl });
    if (!this.lru.has(id)) return;
    for (const tag of stored.tags) {
      const name = tagName(stored.org, tag);
      const ids = this.#tagged.get(name) ?? new Set();
      this.#tagged.set(name, ids.add(id));
    }
  }

  invalidate(org: string, tags: readonly string[]): void {
    for (const tag of tags) for (const id of [...(this.#tagged.get(tagName(org, tag)) ?? [])]) this.lru.delete(id);
  }

  clear(org: string): void {
    for (const [id, stored] of [...this.lru.entries()]) if (stored.org === org) this.lru.delete(id);
  }

  #untag(org: string, tags: readonly string[], id: string): void {
    for (const tag of tags) {
      const ids = this.#tagged.get(tagName(org, tag));
      ids?.delete(id);
      if (ids?.size === 0) this.#tagged.delete(tagName(org, tag));
    }
  }
}

// Ids of organisations have no colon.
const tagName = (org: string, tag: string): string => `${org}:${tag}`;
const idOf = ({ org, key }: CacheKey): string => `${org}:${key}`;

/** Entries in the memory of this process. Each plugin has its own share. */
export class MemoryCacheStore implements CacheStore {
  readonly #plugins = new Map<string, PluginEntries>();
  readonly #sweep = setInterval(() => this.sweep(), SWEEP_MS).unref();

  constructor(
    private readonly limits: CacheLimits,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async get(at: CacheKey): Promise<CacheEntry | undefined> {
    return this.#plugins.get(at.plugin)?.lru.get(idOf(at))?.entry;
  }

  async set(at: CacheKey, entry: CacheEntry, { ttlMs, tags }: EntryOptions): Promise<void> {
    const entries = this.#plugins.get(at.plugin) ?? new PluginEntries(this.limits, this.now);
    this.#plugins.set(at.plugin, entries);
    entries.set(idOf(at), { entry, org: at.org, tags }, sizeOf(at, entry, tags), ttlMs);
  }

  async delete(at: CacheKey): Promise<boolean> {
    return this.#plugins.get(at.plugin)?.lru.delete(idOf(at)) ?? false;
  }

  async invalidate({ plugin, org }: CacheSpace, tags: readonly string[]): Promise<void> {
    this.#plugins.get(plugin)?.invalidate(org, tags);
  }

  async clear({ plugin, org }: CacheSpace): Promise<void> {
    this.#plugins.get(plugin)?.clear(org);
  }

  async purge(plugin: string): Promise<void> {
    this.#plugins.delete(plugin);
  }

  async claim(at: CacheKey): Promise<Claimed> {
    const entry = await this.get(at);
    return entry ? { entry } : { claim: {} };
  }

  /** Who invalidates takes loads under way out of the way; see Flights. */
  async settle(at: CacheKey, _: Claim, loaded?: LoadedEntry): Promise<void> {
    if (loaded) await this.set(at, loaded.entry, loaded);
  }

  sweep(): void {
    for (const [plugin, { lru }] of this.#plugins) {
      lru.purgeStale();
      if (lru.size === 0) this.#plugins.delete(plugin);
    }
  }

  close(): void {
    clearInterval(this.#sweep);
    this.#plugins.clear();
  }
}
