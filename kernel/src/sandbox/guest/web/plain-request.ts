import { MAX_BODY_BYTES } from '../../protocol/frame-type.js';
import { basicURLParse, serializeURL } from '../shims/url-state-machine.js';
import type { FetchHead } from './host.js';

/** A request that needs nothing of what a `Request` has beyond this. */
export interface PlainRequest {
  head: FetchHead;
  body: string | null;
  signal: AbortSignal | null;
}

/** The members of `RequestInit` that a plain request may have. */
const MEMBERS = new Set<PropertyKey>(['method', 'headers', 'body', 'signal', 'redirect']);
const METHODS = new Set<unknown>(['GET', 'HEAD', 'DELETE', 'OPTIONS', 'POST', 'PUT', 'PATCH']);
const REDIRECTS = new Set<unknown>(['follow', 'error', 'manual']);
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Without white space at its ends, which would be cut off. */
const HEADER_VALUE = /^(?:[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?)?$/;

/**
 * What `new Request(input, init)` would come to, or undefined when that can't be told at a glance. Nearly all requests of plugins are
 * such: a URL, and text to send. For them a `Request`, with a signal and a stream of its own, costs more than all else that `fetch` does.
 */
export function plainRequest(input: unknown, init: RequestInit = {}): PlainRequest | undefined {
  if (!isPlainObject(init) || !Reflect.ownKeys(init).every((key) => MEMBERS.has(key))) return undefined;
  const { method = 'GET', redirect = 'follow', signal = null, body = null } = init;
  if (!METHODS.has(method) || !REDIRECTS.has(redirect)) return undefined;
  if (signal !== null && !(signal instanceof AbortSignal)) return undefined;
  if (body !== null && !fits(method, body)) return undefined;
  const headers = headerList(init.headers);
  const url = urlOf(input);
  if (!headers || !url) return undefined;
  if (body !== null && !headers.some(([name]) => name === 'content-type'))
    headers.push(['content-type', 'text/plain;charset=UTF-8']);
  return { head: { url, method, headers, redirect }, body, signal };
}

function isPlainObject(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** What is too long for one frame has to be streamed; a character takes up to three bytes. */
const fits = (method: string, body: unknown): body is string =>
  typeof body === 'string' && body.length * 3 <= MAX_BODY_BYTES && method !== 'GET' && method !== 'HEAD';

function headerList(given: unknown): [string, string][] | undefined {
  if (given === undefined) return [];
  if (!isPlainObject(given)) return undefined;
  const list: [string, string][] = [];
  for (const name of Reflect.ownKeys(given as object)) {
    const value = (given as Record<PropertyKey, unknown>)[name];
    if (typeof name !== 'string' || typeof value !== 'string') return undefined;
    if (!HEADER_NAME.test(name) || !HEADER_VALUE.test(value)) return undefined;
    list.push([name.toLowerCase(), value]);
  }
  // The same name in two spellings is one header with both values.
  return new Set(list.map(([name]) => name)).size === list.length ? list : undefined;
}

function urlOf(input: unknown): string | undefined {
  const text = input instanceof URL ? input.href : input;
  if (typeof text !== 'string' || !/^https?:/.test(text)) return undefined;
  const url = basicURLParse(text);
  // One with credentials is refused.
  return url && url.username === '' && url.password === '' ? serializeURL(url) : undefined;
}
