import { AtollError, type WireError } from '@atoll/plugin-sdk/contract';
import type { CacheEntry, CacheKey, CacheSpace, CacheStore, Claim, EntryOptions } from './entry.js';

/** What became of a load. `again`: nothing; whoever still wants the value loads it. */
export type Landing = { entry: CacheEntry } | { nothing: true } | { error: WireError } | { again: true };

/** Who loads: until when by `performance.now()`, and whether it still can. */
export interface Loader {
  deadline: number;
  alive(): boolean;
}

export type Boarding = { lead: string } | Exclude<Landing, { again: true }>;

export interface FlightsOptions {
  /** Longest time that others wait for one load, in ms. */
  maxLoadMs: number;
}

/** Loads of one plugin at a time; what never ends would fill the memory. */
const MAX_PER_PLUGIN = 1_000;
/** How often who waits looks whether the one that loads is still there, in ms. */
const LOOK_MS = 200;

class Flight {
  readonly landed = Promise.withResolvers<Landing>();
  claim: Claim | undefined;
  /** What it brings is invalid by now; those who wait for it get it all the same. */
  stale = false;
  over = false;

  constructor(
    readonly id: string,
    readonly at: CacheKey,
    readonly tags: readonly string[],
    readonly expires: number,
    readonly alive: () => boolean,
  ) {}

  get lost(): boolean {
    return !this.over && (performance.now() >= this.expires || !this.alive());
  }
}

/** Has one caller load a value while the others wait for it: within this kernel by itself, among nodes as far as the store can. */
export class Flights {
  readonly #byKey = new Map<string, Flight>();
  readonly #byId = new Map<string, Flight>();
  readonly #counts = new Map<string, number>();
  #next = 0;

  constructor(
    private readonly store: CacheStore,
    private readonly options: FlightsOptions,
  ) {}

  /** The value, or leave to load it; `finish` or `abandon` has to follow then. Rejects with the signal's reason, or OVERLOADED. */
  async board(at: CacheKey, tags: readonly string[], loader: Loader, signal: AbortSignal): Promise<Boarding> {
    for (;;) {
      const flight = this.#byKey.get(keyOf(at));
      if (!flight) return this.#lead(at, tags, loader, signal);
      const landing = await this.#wait(flight, signal);
      if (!('again' in landing)) return landing;
    }
  }

  /** Ends a load of this plugin; nothing happens when it was given up already. */
  async finish(
    plugin: string,
    id: string,
    entry: CacheEntry | undefined,
    { keep, ...options }: EntryOptions & { keep: boolean },
  ): Promise<void> {
    const flight = this.#own(plugin, id);
    if (!flight) return;
    const { at, claim = {}, stale } = flight;
    const kept = keep && entry !== undefined && !stale && !flight.lost;
    await this.store.settle(at, claim, kept ? { entry, ...options } : undefined);
    this.#land(flight, entry ? { entry } : { nothing: true });
  }

  /** It was not loaded. With an error those who wait get that; without one, one of them loads. */
  async abandon(plugin: string, id: string, error?: WireError): Promise<void> {
    const flight = this.#own(plugin, id);
    if (!flight) return;
    this.#land(flight, error ? { error } : { again: true });
    await this.store.settle(flight.at, flight.claim ?? {});
  }

  /** What is being loaded is not to be stored, and nobody waits for it from now on. */
  forget({ plugin, org }: CacheSpace, what: { key: string } | { tags: readonly string[] } | 'all'): void {
    for (const flight of [...this.#byKey.values()]) {
      if (flight.at.plugin !== plugin || flight.at.org !== org) continue;
      const meant =
        what === 'all' ||
        ('key' in what ? what.key === flight.at.key : what.tags.some((tag) => flight.tags.includes(tag)));
      if (meant) this.#detach(flight);
    }
  }

  forgetPlugin(plugin: string): void {
    for (const flight of [...this.#byKey.values()]) if (flight.at.plugin === plugin) this.#detach(flight);
  }

  #detach(flight: Flight): void {
    flight.stale = true;
    this.#byKey.delete(keyOf(flight.at));
  }

  async #lead(at: CacheKey, tags: readonly string[], loader: Loader, signal: AbortSignal): Promise<Boarding> {
    if ((this.#counts.get(at.plugin) ?? 0) >= MAX_PER_PLUGIN) this.#sweep(at.plugin);
    const count = this.#counts.get(at.plugin) ?? 0;
    if (count >= MAX_PER_PLUGIN)
      throw new AtollError('OVERLOADED', `"${at.plugin}" already loads ${count} values into its cache.`);
    const leaseMs = Math.max(1, Math.min(loader.deadline - performance.now(), this.options.maxLoadMs));
    const flight = new Flight(String(++this.#next), at, tags, performance.now() + leaseMs, () => loader.alive());
    this.#counts.set(at.plugin, count + 1);
    this.#byKey.set(keyOf(at), flight);
    this.#byId.set(flight.id, flight);
    try {
      const claimed = await this.store.claim(at, leaseMs, signal);
      if ('entry' in claimed) {
        this.#land(flight, claimed);
        return claimed;
      }
      flight.claim = claimed.claim;
      return { lead: flight.id };
    } catch (error) {
      this.#land(flight, { again: true });
      throw error;
    }
  }

  async #wait(flight: Flight, signal: AbortSignal): Promise<Landing> {
    while (!flight.over) {
      if (flight.lost) this.#giveUp(flight);
      else await oneOf(flight.landed.promise, signal);
    }
    return flight.landed.promise;
  }

  /** Whoever loaded does not any more, or takes too long. */
  #giveUp(flight: Flight): void {
    this.#land(flight, { again: true });
    void this.store.settle(flight.at, flight.claim ?? {});
  }

  #sweep(plugin: string): void {
    for (const flight of [...this.#byId.values()]) if (flight.at.plugin === plugin && flight.lost) this.#giveUp(flight);
  }

  #own(plugin: string, id: string): Flight | undefined {
    const flight = this.#byId.get(id);
    return flight?.at.plugin === plugin && !flight.over ? flight : undefined;
  }

  #land(flight: Flight, landing: Landing): void {
    if (flight.over) return;
    flight.over = true;
    this.#byId.delete(flight.id);
    if (this.#byKey.get(keyOf(flight.at)) === flight) this.#byKey.delete(keyOf(flight.at));
    const left = (this.#counts.get(flight.at.plugin) ?? 1) - 1;
    if (left > 0) this.#counts.set(flight.at.plugin, left);
    else this.#counts.delete(flight.at.plugin);
    flight.landed.resolve(landing);
  }
}

const keyOf = ({ plugin, org, key }: CacheKey): string => `${plugin}:${org}:${key}`;

/** Until the promise is settled, or for a moment. Rejects when the signal aborts. */
async function oneOf(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  let timer: NodeJS.Timeout | undefined;
  let abort = () => {};
  try {
    await Promise.race([
      promise,
      new Promise<void>((resolve, reject) => {
        timer = setTimeout(resolve, LOOK_MS);
        abort = () => reject(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
      }),
    ]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
}
