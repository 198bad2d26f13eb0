import { AtollError } from '@atoll/plugin-sdk';
import { sizeOfJson } from '@atoll/plugin-sdk/contract';
import { badRequest } from './problem.js';

/** A value costs far more memory than the three bytes that `{},` takes, so bodies are bounded in values as well. */
const MAX_VALUES = 100_000;
/** Deeper than any schema of a tool; whoever writes or checks a value by recursion has to have the stack for it. */
const MAX_DEPTH = 100;

/** How many values a JSON text has. Refuses too many, and too deeply nested ones, before anything is parsed. */
export function countValues(json: string): number {
  const { values, depth } = sizeOfJson(json, { values: MAX_VALUES, depth: MAX_DEPTH });
  if (depth > MAX_DEPTH) throw badRequest(`The body is nested more than ${MAX_DEPTH} times.`);
  if (values <= MAX_VALUES) return values;
  throw new AtollError('BODY_TOO_LARGE', `The body may have at most ${MAX_VALUES} JSON values; send less at once.`);
}
