/** Keys and tags kept for one plugin; when there are more, all of its entries are to go. */
const MAX = 1_000;

/** A key (`k`) or a tag (`t`) whose entries are to go. */
export type Drop = readonly [kind: 'k' | 't', name: string];

/** What could not be told to Redis and makes its entries wrong. */
export class LostWrites {
  readonly #plugins = new Map<string, Map<string, Drop> | 'all'>();

  add(plugin: string, drops: readonly Drop[] | 'all'): void {
    const lost = this.#plugins.get(plugin) ?? new Map<string, Drop>();
    if (lost === 'all') return;
    if (drops !== 'all') for (const drop of drops) lost.set(drop.join(':'), drop);
    this.#plugins.set(plugin, drops === 'all' || lost.size > MAX ? 'all' : lost);
  }

  /** Whoever takes it makes up for it, or adds it again. */
  take(plugin: string): Drop[] | 'all' | undefined {
    const lost = this.#plugins.get(plugin);
    this.#plugins.delete(plugin);
    return lost === undefined || lost === 'all' ? lost : [...lost.values()];
  }
}
