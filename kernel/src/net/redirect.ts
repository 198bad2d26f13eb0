import { AtollError } from '@atoll/plugin-sdk/contract';
import type { HeaderList } from './request-headers.js';
import { hasPlaceholder } from './secrets.js';

/** One request on the way to the answer. */
export interface Hop {
  url: URL;
  method: string;
  headers: HeaderList;
  body?: Buffer | AsyncIterable<Buffer>;
}

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export const isRedirect = (status: number): boolean => REDIRECTS.has(status);

/** The URL of a request or redirect. Throws BAD_REQUEST for nonsense and NET_DENIED for other protocols than http and https. */
export function parseUrl(text: string, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new AtollError('BAD_REQUEST', 'The URL is malformed.');
  const url = new URL(text, base);
  if (!/^https?:$/.test(url.protocol))
    throw new AtollError('NET_DENIED', `Only http and https can be fetched, not ${url.protocol}`);
  url.hash = '';
  return url;
}

/** The next request after a redirect, by the rules of the Fetch standard. Credentials and secrets stay with their origin. */
export function nextHop(hop: Hop, status: number, location: string): Hop {
  const url = parseUrl(location, hop.url);
  // A server must not choose the credentials of the next request.
  url.username = '';
  url.password = '';
  let { method, headers, body } = hop;
  const isPost = method.toUpperCase() === 'POST';
  const reads = /^(GET|HEAD)$/i.test(method);
  if ((status === 303 && !reads) || ((status === 301 || status === 302) && isPost)) {
    method = 'GET';
    body = undefined;
    headers = headers.filter(([name]) => !/^content-/i.test(name));
  } else if (body !== undefined && !Buffer.isBuffer(body))
    throw new AtollError('NET_FAILED', `${hop.url.origin} redirects, but a streamed body can't be sent again.`);
  if (url.origin !== hop.url.origin)
    headers = headers.filter(([name, value]) => !/^(authorization|cookie)$/i.test(name) && !hasPlaceholder(value));
  return { url, method, headers, body };
}
