interface Entry<V> {
  value: V | undefined;
}

/**
 * A Map for values that come and go by the thousand per second. When V8 rehashes a plain one, the table it leaves behind still
 * points at the values of that moment; as soon as one such table is in the old generation, whatever passes through the map is
 * promoted too, and waits there for a full collection. Here an entry lets go of its value when it is deleted.
 */
export class ChurnMap<K, V> {
  readonly #entries = new Map<K, Entry<V>>();

  get size(): number {
    return this.#entries.size;
  }

  has(key: K): boolean {
    return this.#entries.has(key);
  }

  get(key: K): V | undefined {
    return this.#entries.get(key)?.value;
  }

  set(key: K, value: V): void {
    this.delete(key);
    this.#entries.set(key, { value });
  }

  delete(key: K): boolean {
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    entry.value = undefined;
    return this.#entries.delete(key);
  }

  *values(): IterableIterator<V> {
    for (const { value } of this.#entries.values()) yield value as V;
  }
}
