import { AtollError } from '@atoll/plugin-sdk/contract';

/** Parsing a value takes some 0.3 µs of the event loop, and 50 bytes: these are a tenth of a second, and 15 MB. */
const MAX_VALUES = 250_000;
/** What is written, copied or checked by recursion has to fit the stack wherever that happens. */
const MAX_DEPTH = 500;
const [QUOTE, BACKSLASH, COMMA] = [0x22, 0x5c, 0x2c];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * How many values a JSON text has, at most. Throws VALIDATION_FAILED when they are too many or nested too deeply, which is found before
 * anything is parsed. A text that is no JSON has some number, too.
 */
export function countValues(json: Buffer): number {
  let [values, depth] = [1, 0];
  for (let at = 0; at < json.length; at++) {
    const byte = json[at];
    if (byte === QUOTE) at = endOfText(json, at);
    else if (byte === COMMA) values++;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      values++;
      if (++depth > MAX_DEPTH) refuse(`It is nested more than ${MAX_DEPTH} times`);
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
    if (values > MAX_VALUES) refuse(`It has more than ${MAX_VALUES} values`);
  }
  return values;
}

/** The value of a JSON text that a guest wrote. Throws VALIDATION_FAILED also for what is too large to be parsed in the event loop. */
export function parseGuestJson(json: Buffer): unknown {
  countValues(json);
  try {
    return JSON.parse(json.toString('utf8'));
  } catch {
    throw new AtollError('VALIDATION_FAILED', 'It is not JSON.');
  }
}

/** Whether a JSON value is nested at most this deeply. Takes no more of the stack than that, whatever the value. */
export function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((member) => isShallow(member, depth - 1));
}

/** Where the text that begins here ends: at its closing quote, or with the input. */
function endOfText(json: Buffer, start: number): number {
  let end = start;
  do {
    end = json.indexOf(QUOTE, end + 1);
    if (end < 0) return json.length;
  } while (isEscaped(json, end));
  return end;
}

function isEscaped(json: Buffer, at: number): boolean {
  let backslashes = 0;
  while (json[at - 1 - backslashes] === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

function refuse(why: string): never {
  throw new AtollError('VALIDATION_FAILED', `${why}: split it, or send it as text or bytes.`);
}
