/** The latest ids of events, so that one that comes twice is taken once. */
export class KnownIds {
  readonly #ids = new Set<string>();

  constructor(private readonly limit: number) {}

  /** False when it is known. */
  add(id: string): boolean {
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > this.limit) this.#ids.delete(this.#ids.values().next().value!);
    return true;
  }
}
