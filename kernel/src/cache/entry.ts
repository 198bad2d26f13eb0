/** Whose entries: those of one plugin for one organisation see no others. */
export interface CacheSpace {
  readonly plugin: string;
  readonly org: string;
}

/** One place in a cache. */
export interface CacheKey extends CacheSpace {
  readonly key: string;
}

/** A value as the plugin gave it: JSON text or bytes. */
export interface CacheEntry {
  readonly kind: 'json' | 'bytes';
  readonly data: Buffer;
}

export interface EntryOptions {
  ttlMs: number;
  tags: readonly string[];
}

/** Given to the one that loads a value, for when it has it. */
export interface Claim {
  /** Of the lock that keeps other nodes from loading meanwhile; absent where there are none, or they can't be told. */
  lock?: string;
  /** What was invalidated from then on is not to be stored any more. */
  since?: string;
}

export type Claimed = { entry: CacheEntry } | { claim: Claim };

export interface LoadedEntry extends EntryOptions {
  entry: CacheEntry;
}

/** Where entries are. No method rejects because the store can't be reached: it has nothing then. */
export interface CacheStore {
  get(at: CacheKey): Promise<CacheEntry | undefined>;
  set(at: CacheKey, entry: CacheEntry, options: EntryOptions): Promise<void>;
  /** Whether there was one. */
  delete(at: CacheKey): Promise<boolean>;
  invalidate(space: CacheSpace, tags: readonly string[]): Promise<void>;
  clear(space: CacheSpace): Promise<void>;
  /** Drops everything of a plugin. */
  purge(plugin: string): Promise<void>;
  /** The entry, or leave to load it. Waits, within reason, while another node does. Rejects with the signal's reason. */
  claim(at: CacheKey, leaseMs: number, signal: AbortSignal): Promise<Claimed>;
  /** Ends a claim; stores what was loaded unless it was invalidated meanwhile. */
  settle(at: CacheKey, claim: Claim, loaded?: LoadedEntry): Promise<void>;
  close(): void;
}

/** Bytes that an entry counts as, with what it takes to find it. */
export const sizeOf = ({ key }: CacheKey, { data }: CacheEntry, tags: readonly string[]): number =>
  data.length + Buffer.byteLength(key) + tags.reduce((sum, tag) => sum + Buffer.byteLength(tag), 0) + 64;

export interface CacheLimits {
  maxEntries: number;
  maxBytes: number;
}
