/** Steps that one search of one pattern may take. */
const MOST_STEPS = 200_000_000;
/** Each repetition without an end multiplies the ways to match by the length of the text. */
const MOST_REPETITIONS = 3;

/**
 * A pattern that somebody else has written, applied so that it can't hold the provider up: repetitions within
 * repetitions are refused with a RangeError, and texts too long for the others are passed over.
 */
export class Pattern {
  readonly #exact: RegExp;
  readonly #inside: RegExp;
  readonly #power: number;

  constructor(pattern: string) {
    const repetitions = countRepetitions(pattern);
    if (repetitions > MOST_REPETITIONS) throw new RangeError(`the pattern ${pattern} repeats too much`);
    this.#power = repetitions + 1;
    this.#exact = new RegExp(pattern, 'u');
    const open = pattern.replace(/^\^/, '(?<![\\p{L}\\p{N}])').replace(/\$$/, '(?![\\p{L}\\p{N}])');
    this.#inside = new RegExp(open, 'u');
  }

  fits(value: string): boolean {
    return this.#stepsFor(value) <= MOST_STEPS && this.#exact.test(value);
  }

  /** The first match within a line of the text. */
  findIn(text: string): string | undefined {
    let left = MOST_STEPS;
    for (const line of text.split('\n')) {
      const steps = this.#stepsFor(line);
      if (steps > left) continue;
      left -= steps;
      const found = this.#inside.exec(line)?.[0];
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #stepsFor = (text: string): number => (text.length + 1) ** this.#power;
}

/** How many repetitions without an end, or with a choice of more than a few, a pattern has. */
function countRepetitions(pattern: string): number {
  let count = 0;
  /** Per open group: whether what it holds can match in several ways. */
  const groups: boolean[] = [];
  let closed = false;
  // Escapes and classes are one sign each.
  for (const [sign] of pattern.matchAll(/\\.|\[(?:\\.|[^\]\\])*\]|\{\d+(?:,\d*)?\}|./gsu)) {
    const repeats = sign === '*' || sign === '+' || isWide(sign);
    if (repeats) {
      if (closed) throw new RangeError(`the pattern ${pattern} repeats what repeats`);
      count++;
    }
    if (repeats || sign === '|') groups.fill(true);
    closed = sign === ')' && (groups.pop() ?? false);
    if (sign === '(') groups.push(false);
  }
  return count;
}

function isWide(sign: string): boolean {
  const [, least, most] = /^\{(\d+),(\d*)\}$/.exec(sign) ?? [];
  return least !== undefined && (most === '' || Number(most) - Number(least) > 3);
}
