import { RE2JS } from 're2js';
import { spend } from './budget.js';
import { patternSize } from './pattern-size.js';

const MAX_LENGTH = 1_000;
/** Instructions; compiling as many takes some 20 ms. */
const MAX_SIZE = 10_000;
/** How many of a pattern's instructions count as one step: linear time is long when both pattern and text are. */
const INSTRUCTIONS_PER_STEP = 16;

/**
 * A pattern that runs in linear time whatever the text. It is a `RegExp` to typebox, which ignores patterns that are neither
 * texts nor instances of it; nothing of JavaScript's own engine is used.
 */
export class LinearPattern extends RegExp {
  readonly #compiled: RE2JS;
  readonly #text: string;

  /** Throws when RE2 can't run the pattern: look-around and back-references have no linear form. */
  constructor(text: string) {
    super('');
    if (text.length > MAX_LENGTH) throw new RangeError(`it has more than ${MAX_LENGTH} characters`);
    if (patternSize(text) > MAX_SIZE) throw new RangeError('it repeats too much');
    this.#text = text;
    // RE2 spells named groups its own way.
    this.#compiled = RE2JS.compile(text.replace(/\(\?<(?![=!])/g, '(?P<'));
  }

  override test(text: string): boolean {
    spend((text.length * this.#compiled.programSize()) / INSTRUCTIONS_PER_STEP);
    return this.#compiled.matcher(text).find();
  }

  override toString(): string {
    return this.#text;
  }
}
