import { dataURLProcessor, serializeAMimeType } from 'undici/lib/web/fetch/data-url.js';
import { FormData } from 'undici/lib/web/fetch/formdata.js';
import { Headers, HeadersList } from 'undici/lib/web/fetch/headers.js';
// Response has to come before Request: they import each other.
import { fromInnerResponse, makeResponse, Response } from 'undici/lib/web/fetch/response.js';
import { getRequestState, Request } from 'undici/lib/web/fetch/request.js';
import { MAX_BODY_BYTES } from '../../protocol/frame-type.js';
import { defineClass, defineGlobal } from './define.js';
import { type FetchBody, type FetchHead, type FetchReplyHead, webHost } from './host.js';
import { verified } from './integrity.js';
import { networkError } from './network-error.js';
import { plainRequest } from './plain-request.js';

defineClass('Headers', Headers as never);
defineClass('Response', Response as never);
defineClass('Request', Request as never);
defineClass('FormData', FormData as never);

const NULL_BODY = new Set([101, 103, 204, 205, 304]);

async function fetch(input: RequestInfo | URL, init?: RequestInit): Promise<globalThis.Response> {
  const plain = plainRequest(input, init);
  if (plain) return exchange({ ...plain, integrity: '' });
  const request = new globalThis.Request(input, init);
  const { url, method, redirect, signal, integrity } = request;
  signal.throwIfAborted();
  if (url.startsWith('data:')) return fetchData(request);
  const head = { url, method, headers: [...request.headers] as [string, string][], redirect };
  return exchange({ head, body: bodyOf(request), signal, integrity });
}

interface Exchange {
  head: FetchHead;
  body: FetchBody | Promise<FetchBody>;
  signal: AbortSignal | null;
  integrity: string;
}

async function exchange({ head, body, signal, integrity }: Exchange): Promise<globalThis.Response> {
  try {
    const whole = body instanceof Promise ? await body : body;
    const answer = await webHost().fetch(head, whole, signal);
    return toResponse(answer.head, integrity === '' ? answer.body : await verified(answer.body, integrity));
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw networkError(error);
  }
}

/** A data: URL holds its answer; nothing is asked of the host. */
function fetchData(request: globalThis.Request): globalThis.Response {
  const data = dataURLProcessor(new URL(request.url));
  if (data === 'failure') throw new TypeError('fetch failed: the data: URL is malformed.');
  const headers: [string, string][] = [['content-type', serializeAMimeType(data.mimeType)]];
  const head = { status: 200, statusText: 'OK', headers, url: request.url, redirected: false };
  return toResponse(head, new globalThis.Response(data.body as Uint8Array<ArrayBuffer>).body);
}

/** A stream stays a stream, and what is large becomes one; anything else is sent whole, so that the host knows its length. */
async function bodyOf(request: globalThis.Request): Promise<FetchBody> {
  const inner = getRequestState(request).body;
  if (inner === null) return null;
  if (inner.source === null || inner.length === null || inner.length > MAX_BODY_BYTES) return request.body;
  return new Uint8Array(await request.arrayBuffer());
}

/**
 * As the standard has it for a fetch: its URLs are part of it, also of its clones, and its headers cannot be changed. Made without the
 * constructor, which would check again what comes from the host.
 */
function toResponse(reply: FetchReplyHead, body: ReadableStream<Uint8Array> | null): globalThis.Response {
  const { status, statusText, headers, url, redirected } = reply;
  const headersList = new HeadersList();
  for (const [name, value] of headers) headersList.append(name, value, false);
  const stream = NULL_BODY.has(status) ? null : body;
  // Parsing what the host has parsed would take longer than all the rest.
  const hashAt = url.indexOf('#');
  const last = { href: url, hash: hashAt < 0 ? '' : url.slice(hashAt) };
  const inner = makeResponse({
    type: 'basic',
    status,
    statusText,
    headersList,
    urlList: redirected ? [last, last] : [last],
    body: stream && { stream, source: null, length: null },
  });
  return fromInnerResponse(inner, 'immutable');
}

defineGlobal('fetch', fetch);
