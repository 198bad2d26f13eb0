const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

export interface JsonSize {
  /** At most so many: an empty list or object counts for two. */
  values: number;
  /** How many lists and objects are within each other. */
  depth: number;
}

/**
 * How much a JSON text will take once it is parsed, found without parsing it. Reading ends as soon as there is more of
 * either than `most`. A text that is no JSON has some size, too.
 */
export function sizeOfJson(json: string, most: JsonSize): JsonSize {
  let [values, depth, deepest] = [1, 0, 0];
  for (let at = 0; at < json.length && values <= most.values && deepest <= most.depth; at++) {
    const sign = json.charCodeAt(at);
    if (sign === QUOTE) at = endOfText(json, at);
    else if (sign === COMMA) values++;
    else if (sign === OPEN_LIST || sign === OPEN_OBJECT) {
      values++;
      depth++;
      deepest = Math.max(deepest, depth);
    } else if (sign === CLOSE_LIST || sign === CLOSE_OBJECT) depth--;
  }
  return { values, depth: deepest };
}

/** Where the text that begins here ends: at its closing quote, or with the input. */
function endOfText(json: string, start: number): number {
  let end = start;
  do {
    end = json.indexOf('"', end + 1);
    if (end < 0) return json.length;
  } while (isEscaped(json, end));
  return end;
}

function isEscaped(json: string, at: number): boolean {
  let backslashes = 0;
  while (json.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}
