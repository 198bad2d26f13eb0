import type { IncomingHttpHeaders } from 'node:http';

/** Headers that belong to one connection and go no further (RFC 9110, 7.6.1). */
export const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection', 'keep-alive', 'proxy-authenticate', 'proxy-authorization', 'proxy-connection', 'te', 'trailer',
  'transfer-encoding', 'upgrade', 'expect',
]); // biome-ignore format: a table

/** Credentials are the kernel's business: plugins see the principal instead. */
const WITHHELD = new Set(['authorization', 'cookie', 'x-api-key']);

/** A request's headers as a plugin sees them. */
export function headersForPlugin(headers: IncomingHttpHeaders): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined && !WITHHELD.has(name) && !HOP_BY_HOP.has(name))
      plain[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  const { connection } = headers;
  // What the client declares to be of this connection; the usual value names nothing.
  if (connection !== undefined && connection !== 'keep-alive' && connection !== 'close') {
    for (const name of connection.split(',')) delete plain[name.trim().toLowerCase()];
  }
  return plain;
}
