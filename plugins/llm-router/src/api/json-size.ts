import { AtollError } from '@atoll/plugin-sdk';
import { badRequest } from './problem.js';

/** A value costs far more memory than the three bytes that `{},` takes, so bodies are bounded in values as well. */
const MAX_VALUES = 100_000;
/** Deeper than any schema of a tool; whoever writes or checks a value by recursion has to have the stack for it. */
const MAX_DEPTH = 100;
const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** How many values a JSON text has, at most. Refuses too many, and too deeply nested ones, before anything is parsed. */
export function countValues(json: string): number {
  let [values, depth] = [1, 0];
  for (let at = 0; at < json.length; at++) {
    const sign = json.charCodeAt(at);
    if (sign === QUOTE) at = endOfText(json, at);
    else if (sign === COMMA) values++;
    else if (sign === OPEN_LIST || sign === OPEN_OBJECT) {
      values++;
      if (++depth > MAX_DEPTH) throw badRequest(`The body is nested more than ${MAX_DEPTH} times.`);
    } else if (sign === CLOSE_LIST || sign === CLOSE_OBJECT) depth--;
    if (values > MAX_VALUES) {
      throw new AtollError('BODY_TOO_LARGE', `The body may have at most ${MAX_VALUES} JSON values; send less at once.`);
    }
  }
  return values;
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
