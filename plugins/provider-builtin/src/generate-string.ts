import type { Evidence } from './evidence.js';
import { Pattern } from './pattern.js';
import type { Schema } from './schema.js';

/** Per format: what to look for in the text, and what to give when there is nothing. */
const FORMATS: Record<string, { find: RegExp; otherwise: string }> = {
  date: { find: /\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d)\b/, otherwise: '1970-01-01' },
  'date-time': {
    find: /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/,
    otherwise: '1970-01-01T00:00:00Z',
  },
  time: { find: /\b(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:Z|[+-]\d\d:\d\d)/, otherwise: '00:00:00Z' },
  email: { find: /\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b/, otherwise: 'nobody@example.com' },
  uri: { find: /\bhttps?:\/\/[^\s"'<>)]+[^\s"'<>).,]/, otherwise: 'https://example.com/' },
  uuid: { find: /\b[\da-f]{8}-(?:[\da-f]{4}-){3}[\da-f]{12}\b/i, otherwise: '00000000-0000-4000-8000-000000000000' },
  ipv4: { find: /\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)(?:\.(?!$)|\b)){4}/, otherwise: '127.0.0.1' },
  hostname: { find: /\b(?:[a-z\d](?:[a-z\d-]*[a-z\d])?\.)+[a-z]{2,}\b/i, otherwise: 'example.com' },
};
FORMATS.url = FORMATS.uri!;

/** Longest text that is filled up to a `minLength`. */
const LONGEST = 100_000;

/** Names of fields that ask for the answer itself rather than for a value out of the text. */
const ANSWERS = new Set([
  ...['analysis', 'answer', 'body', 'content', 'description', 'explanation', 'message', 'output'],
  ...['reason', 'reasoning', 'reply', 'response', 'result', 'summary', 'text'],
]);

export function makeString(schema: Schema, evidence: Evidence, name: string, must: boolean): string | undefined {
  const format = schema.format === undefined ? undefined : FORMATS[schema.format];
  if (format) {
    const found = evidence.match(format.find) ?? (must ? format.otherwise : undefined);
    return found === undefined ? undefined : fitLength(found, schema, name);
  }
  if (schema.pattern !== undefined) return fromPattern(schema, schema.pattern, evidence, name, must);
  const found = ANSWERS.has(name.toLowerCase()) && must ? evidence.answer : evidence.text(name);
  if (found !== undefined) return fitLength(found, schema, name);
  if (!must) return undefined;
  return fitLength(typeof schema.default === 'string' ? schema.default : evidence.answer, schema, name);
}

/** Only text that stands there can be given for a pattern; inventing a match is beyond this provider. */
function fromPattern(
  schema: Schema,
  pattern: string,
  evidence: Evidence,
  name: string,
  must: boolean,
): string | undefined {
  const wanted = new Pattern(pattern);
  const fits = (value: unknown): value is string =>
    typeof value === 'string' && wanted.fits(value) && lengthFits(value, schema);
  const found = [evidence.matchOf(wanted), schema.default, evidence.text(name), '', '0', 'a', 'A'].find(fits);
  if (found !== undefined || !must) return found;
  throw new RangeError(`nothing in the text matches the pattern of "${name}"`);
}

const lengthOf = (value: string) => [...value].length;
const lengthFits = (value: string, { minLength = 0, maxLength = Infinity }: Schema) =>
  lengthOf(value) >= minLength && lengthOf(value) <= maxLength;

function fitLength(value: string, schema: Schema, name: string): string {
  if (lengthFits(value, schema)) return value;
  if (schema.format !== undefined && FORMATS[schema.format])
    throw new RangeError(`"${name}" has a length its format does not allow`);
  const { minLength = 0, maxLength = Infinity } = schema;
  if (minLength > LONGEST) throw new RangeError(`"${name}" has to be longer than ${LONGEST} characters`);
  const signs = [...value];
  return signs.length > maxLength
    ? signs.slice(0, maxLength).join('')
    : value.padEnd(value.length + minLength - signs.length, '.');
}
