/** Characters that may be looked at for one document: below a second. */
const MOST_LOOKS = 20_000_000;
const MOST_STEPS = 10_000;
/** As long as a prompt may be. */
const MOST_OUTPUT = 200_000;

/**
 * How much work one document may be. A small schema can ask for a billion items, or for ever more ways to try, and
 * nobody else is answered meanwhile. Throws RangeError when it is used up.
 */
export class Effort {
  #looks = 0;
  #steps = 0;
  #output = 0;

  /** A part of a schema is followed, or a value is made for it. */
  step(): void {
    if (++this.#steps > MOST_STEPS) throw new RangeError(`it takes more than ${MOST_STEPS} steps`);
  }

  /** So many characters are searched. */
  look(characters: number): void {
    this.#looks += characters;
    if (this.#looks > MOST_LOOKS) throw new RangeError('it has too many fields for a text of this length');
  }

  /** So many characters become a part of the document. */
  write(characters: number): void {
    this.#output += characters;
    if (this.#output > MOST_OUTPUT) throw new RangeError(`the document would be longer than ${MOST_OUTPUT} characters`);
  }
}
