/** Ids stay below this, so that they are small integers for V8 and fit the 32 bits of a frame. */
const END = 0x7fff_ffff;

/**
 * Ids for calls that one side makes. Those of guests are odd, those of the kernel even: neither has to ask the other for one. After
 * some two thousand million they begin anew; what is still in use then is passed over.
 */
export class FrameIds {
  readonly #first: number;
  #next: number;

  constructor(
    first: number,
    private readonly step: 1 | 2,
    next = first,
  ) {
    this.#first = first;
    this.#next = next;
  }

  /** A free id. Of the ids at most a part may be in use. */
  take(inUse: { has(id: number): boolean }): number {
    let id: number;
    do {
      id = this.#next;
      this.#next = id + this.step < END ? id + this.step : this.#first;
    } while (inUse.has(id));
    return id;
  }
}
