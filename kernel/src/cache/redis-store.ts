import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import {
  type CacheEntry,
  type CacheKey,
  type CacheLimits,
  type CacheSpace,
  type CacheStore,
  type Claim,
  type Claimed,
  type EntryOptions,
  type LoadedEntry,
  sizeOf,
} from './entry.js';
import { type Drop, LostWrites } from './lost-writes.js';
import { type Argument, RedisDoor } from './redis-door.js';
import * as scripts from './redis-scripts.js';

export interface RedisCacheOptions extends CacheLimits {
  /** Longest load that others wait for, in ms; what is marked as invalid is remembered for longer. */
  maxLoadMs: number;
  /** Longest wait for Redis, in ms. */
  timeoutMs: number;
}

/** Between looks whether another node has loaded it, in ms. */
const POLL_MS = 25;
const JSON_KIND = 0x6a;
const BYTES_KIND = 0x62;

const idOf = ({ org, key }: CacheKey): string => `${org}:${key}`;
const tagsOf = ({ org }: CacheSpace, tags: readonly string[]): string[] => tags.map((tag) => `${org}:${tag}`);

/**
 * Entries in Redis, which nodes share. While Redis is away there are none, and nothing is stored. What was to be replaced or invalidated
 * meanwhile is dropped when it is back, before anything of that plugin is read again on this node.
 */
export class RedisCacheStore implements CacheStore {
  readonly #door: RedisDoor;
  readonly #lost = new LostWrites();
  readonly #making = new Map<string, Promise<void>>();
  readonly #markMs: number;

  constructor(
    redis: Redis,
    private readonly options: RedisCacheOptions,
  ) {
    this.#door = new RedisDoor(redis, options.timeoutMs);
    this.#markMs = options.maxLoadMs * 2;
  }

  async get(at: CacheKey): Promise<CacheEntry | undefined> {
    const found = await this.#ask(at.plugin, scripts.GET, [idOf(at)]);
    return found instanceof Buffer ? decode(found) : undefined;
  }

  async set(at: CacheKey, entry: CacheEntry, options: EntryOptions): Promise<void> {
    await this.#tell(at.plugin, [['k', idOf(at)]], () => this.#store(at, { entry, ...options }, ''));
  }

  async delete(at: CacheKey): Promise<boolean> {
    return ((await this.#drop(at.plugin, [['k', idOf(at)]])) ?? 0) > 0;
  }

  async invalidate(space: CacheSpace, tags: readonly string[]): Promise<void> {
    await this.#drop(
      space.plugin,
      tagsOf(space, tags).map((tag) => ['t', tag] as const),
    );
  }

  async clear({ plugin, org }: CacheSpace): Promise<void> {
    await this.#tell(plugin, 'all', () => this.#run(plugin, scripts.CLEAR, [this.#markMs, org]));
  }

  async purge(plugin: string): Promise<void> {
    await this.#tell(plugin, 'all', () => this.#run(plugin, scripts.CLEAR, [this.#markMs, '']));
  }

  async claim(at: CacheKey, leaseMs: number, signal: AbortSignal): Promise<Claimed> {
    const lock = randomUUID();
    const until = performance.now() + leaseMs;
    for (;;) {
      const answer = await this.#ask(at.plugin, scripts.CLAIM, [
        idOf(at),
        lock,
        Math.ceil(leaseMs),
        this.options.maxLoadMs,
      ]);
      // Redis is away, or others take too long: it is loaded here.
      if (!Array.isArray(answer) || performance.now() >= until) return { claim: {} };
      const [data, since] = answer as [Buffer | null, Buffer?];
      if (data instanceof Buffer) return { entry: decode(data) };
      if (since) return { claim: { lock, since: since.toString() } };
      await sleep(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }

  async settle(at: CacheKey, { lock, since }: Claim, loaded?: LoadedEntry): Promise<void> {
    // Without a claim nobody knows what was invalidated meanwhile.
    if (loaded && since !== undefined) await this.#store(at, loaded, since).catch(() => {});
    if (lock !== undefined) await this.#ask(at.plugin, scripts.RELEASE, [idOf(at), lock]);
  }

  close(): void {}

  #store(at: CacheKey, { entry, ttlMs, tags }: LoadedEntry, since: string): Promise<unknown> {
    const { maxEntries, maxBytes } = this.options;
    const size = sizeOf(at, entry, tags);
    return this.#run(at.plugin, scripts.SET, [
      ...[idOf(at), at.org, encode(entry), size, ttlMs, JSON.stringify(tagsOf(at, tags))],
      ...[maxEntries, maxBytes, since, this.#markMs],
    ]);
  }

  async #drop(plugin: string, drops: readonly Drop[]): Promise<number | undefined> {
    const args = [this.#markMs, ...drops.flat()];
    return (await this.#tell(plugin, drops, () => this.#run(plugin, scripts.DROP, args))) as number | undefined;
  }

  /** Undefined when Redis does not answer. */
  async #ask(plugin: string, script: string, args: readonly Argument[]): Promise<unknown> {
    return this.#run(plugin, script, args).catch(() => undefined);
  }

  /** Something after which these entries are wrong; when Redis does not answer it is made up for later. */
  async #tell(plugin: string, wrong: readonly Drop[] | 'all', work: () => Promise<unknown>): Promise<unknown> {
    try {
      return await work();
    } catch {
      this.#lost.add(plugin, wrong);
      return undefined;
    }
  }

  async #run(plugin: string, script: string, args: readonly Argument[]): Promise<unknown> {
    await this.#makeUp(plugin);
    return this.#door.run(script, prefixOf(plugin), args);
  }

  async #makeUp(plugin: string): Promise<void> {
    const making = this.#making.get(plugin);
    if (making !== undefined) return making;
    const lost = this.#lost.take(plugin);
    if (!lost) return;
    const script = lost === 'all' ? scripts.CLEAR : scripts.DROP;
    const args = [this.#markMs, ...(lost === 'all' ? [''] : lost.flat())];
    const made = this.#door
      .run(script, prefixOf(plugin), args)
      .then(
        () => {},
        (error) => {
          this.#lost.add(plugin, lost);
          throw error;
        },
      )
      .finally(() => this.#making.delete(plugin));
    this.#making.set(plugin, made);
    return made;
  }
}

// In braces: in a cluster all keys of a plugin are on one node.
const prefixOf = (plugin: string): string => `atoll:cache:{${plugin}}:`;

const encode = ({ kind, data }: CacheEntry): Buffer =>
  Buffer.concat([Buffer.of(kind === 'json' ? JSON_KIND : BYTES_KIND), data]);

const decode = (stored: Buffer): CacheEntry => ({
  kind: stored[0] === JSON_KIND ? 'json' : 'bytes',
  data: stored.subarray(1),
});
