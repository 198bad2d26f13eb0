import type { Permission } from '@atoll/registry';

/** How often a permission was used or refused. */
export interface UseCount {
  kind: string;
  value?: string;
  count: number;
  /** ISO 8601. */
  last: string;
}

/** Different entries kept of one plugin: what a plugin names is its own, and it must not fill the kernel's memory. */
const MAX_ENTRIES = 500;
const MAX_VALUE = 200;

/** Counts by permission entry, bounded: beyond that, what is new is only counted as a whole. */
export class UseCounts {
  readonly #counts = new Map<string, UseCount>();
  /** Of entries for which there was no room. */
  others = 0;
  total = 0;

  constructor(
    counts: readonly UseCount[] = [],
    private readonly limit = MAX_ENTRIES,
  ) {
    for (const one of counts.slice(0, limit)) {
      this.#counts.set(keyOf(one.kind, one.value), { ...one });
      this.total += one.count;
    }
  }

  /** Returns whether the entry is among those that are kept. */
  add(kind: string, value?: string): boolean {
    this.total++;
    const text = value?.slice(0, MAX_VALUE);
    const key = keyOf(kind, text);
    const known = this.#counts.get(key);
    const last = new Date().toISOString();
    if (known) {
      known.count++;
      known.last = last;
      return true;
    }
    if (this.#counts.size >= this.limit) {
      this.others++;
      return false;
    }
    this.#counts.set(key, { kind, ...(text !== undefined && { value: text }), count: 1, last });
    return true;
  }

  list(): UseCount[] {
    return [...this.#counts.values()].sort((a, b) => (keyOf(a.kind, a.value) < keyOf(b.kind, b.value) ? -1 : 1));
  }

  of({ kind, value }: Permission): UseCount | undefined {
    return this.#counts.get(keyOf(kind, value));
  }
}

const keyOf = (kind: string, value: string | undefined): string => `${kind} ${value ?? ''}`;
