import { AtollError } from '@atoll/plugin-sdk/contract';

export type HeaderList = [name: string, value: string][];

/** Headers that belong to the connection, not to the plugin; they are left out, as browsers do. */
const FORBIDDEN = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
]);
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** What a header can carry; above all no line breaks, which would begin another header. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
/** More than servers take. In characters. */
const MAX_TOTAL = 131_072;

/** The headers as they are sent, flat. `fill` puts secrets into a value. Throws INVALID_HEADER, without the value. */
export function requestHeaders(given: HeaderList, fill: (value: string) => string): string[] {
  // A range counts bytes of what is sent; compressed, they would be others.
  const ranged = given.some(([name]) => name.toLowerCase() === 'range');
  const flat: string[] = ['accept-encoding', ranged ? 'identity' : 'gzip, deflate, br'];
  let total = 0;
  for (const [name, value] of given) {
    if (!NAME.test(name)) throw invalid(name, 'its name is malformed');
    if (FORBIDDEN.has(name.toLowerCase())) continue;
    const filled = VALUE.test(value) ? fill(value) : undefined;
    if (filled === undefined || !VALUE.test(filled))
      throw invalid(name, 'its value has characters that are not allowed');
    total += name.length + filled.length;
    if (total > MAX_TOTAL) throw invalid(name, 'the headers are too large altogether');
    flat.push(name, filled);
  }
  return flat;
}

function invalid(name: string, why: string): AtollError {
  return new AtollError('INVALID_HEADER', `The header ${JSON.stringify(name.slice(0, 100))}: ${why}.`);
}
