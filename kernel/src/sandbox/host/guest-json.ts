import { AtollError, sizeOfJson } from '@atoll/plugin-sdk/contract';

/** Parsing a value takes some 0.3 µs of the event loop, and 50 bytes: these are a tenth of a second, and 15 MB. */
const MAX_VALUES = 250_000;
/** What is written, copied or checked by recursion has to fit the stack wherever that happens. */
const MAX_DEPTH = 500;

/** How many values a JSON text has. Throws VALIDATION_FAILED when they are too many or nested too deeply, which is found before anything is parsed. */
export function countValues(json: string): number {
  const { values, depth } = sizeOfJson(json, { values: MAX_VALUES, depth: MAX_DEPTH });
  if (depth > MAX_DEPTH) refuse(`It is nested more than ${MAX_DEPTH} times`);
  if (values > MAX_VALUES) refuse(`It has more than ${MAX_VALUES} values`);
  return values;
}

/** The value of a JSON text that a guest wrote. Throws VALIDATION_FAILED also for what is too large to be parsed in the event loop. */
export function parseGuestJson(json: Buffer): unknown {
  const text = json.toString('utf8');
  countValues(text);
  try {
    return JSON.parse(text);
  } catch {
    throw new AtollError('VALIDATION_FAILED', 'It is not JSON.');
  }
}

/** Whether a JSON value is nested at most this deeply. Takes no more of the stack than that, whatever the value. */
export function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((member) => isShallow(member, depth - 1));
}

function refuse(why: string): never {
  throw new AtollError('VALIDATION_FAILED', `${why}: split it, or send it as text or bytes.`);
}
