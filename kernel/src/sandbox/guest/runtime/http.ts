import type { HttpMethod, RouteRegistration } from '@atoll/plugin-sdk';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { isMaterialised } from '../web/lazy.js';
import type { HttpCallMeta, HttpReplyMeta } from '../../protocol/messages.js';
import { stringifyResult } from './errors.js';
import type { InboundCall, Outcome } from './inbound.js';
import { handle } from './inbound.js';
import { bodyChunk, type Chunk, iterateStream, toByteStream } from './streams.js';

type Handler = (request: GuestHttpRequest) => unknown;

/** What a handler gets; parts that cost something are made when they are asked for. */
class GuestHttpRequest {
  readonly #call: InboundCall;
  readonly #meta: HttpCallMeta;
  #body: { value: unknown } | undefined;
  #request: Request | undefined;

  constructor(call: InboundCall) {
    this.#call = call;
    this.#meta = call.meta as HttpCallMeta;
  }
  get params() {
    return this.#meta.a;
  }
  get query() {
    return this.#meta.q;
  }
  get headers() {
    return this.#meta.h;
  }
  get principal() {
    return this.#meta.p;
  }
  get signal() {
    return this.#call.signal;
  }
  get body(): unknown {
    this.#body ??= { value: parseBody(this.#call.body, this.headers['content-type'] ?? '') };
    return this.#body.value;
  }
  get request(): Request {
    this.#request ??= makeRequest(this.#call, this.#meta);
    return this.#request;
  }
}

function parseBody(body: Chunk | undefined, contentType: string): unknown {
  if (body === undefined || body.length === 0) return undefined;
  if (!/^[^;]*\bjson\b/i.test(contentType)) {
    if (/^application\/x-www-form-urlencoded/i.test(contentType))
      return Object.fromEntries(new URLSearchParams(asText(body)));
    return body;
  }
  try {
    return JSON.parse(asText(body));
  } catch (error) {
    throw new AtollError('INVALID_JSON', error instanceof Error ? error.message : 'The body is not JSON.');
  }
}

const asText = (body: Chunk) => (typeof body === 'string' ? body : new TextDecoder().decode(body));

function makeRequest(call: InboundCall, meta: HttpCallMeta): Request {
  const bodyless = meta.v === 'GET' || meta.v === 'HEAD';
  const body = call.request ? toByteStream(call.request) : call.body;
  return new Request(`http://${meta.h.host ?? 'localhost'}${meta.u}`, {
    method: meta.v,
    headers: meta.h,
    signal: call.signal,
    ...(!bodyless && body !== undefined && { body: body as BodyInit, duplex: 'half' }),
  });
}

async function fromResponse(response: Response): Promise<Outcome> {
  const meta: HttpReplyMeta = { s: response.status, h: [...response.headers] };
  if (!response.body) return { meta };
  return { meta, stream: iterateStream(response.body), encode: bodyChunk };
}

function fromIterable(source: AsyncIterable<unknown>, accept: string): Outcome {
  const sse = accept.includes('text/event-stream');
  const meta: HttpReplyMeta = {
    s: 200,
    h: [
      ['content-type', sse ? 'text/event-stream; charset=utf-8' : 'application/x-ndjson; charset=utf-8'],
      ['cache-control', 'no-cache'],
    ],
  };
  const encode = (value: unknown) => {
    const text = stringifyResult(value, 'A value of the stream');
    return sse ? `data: ${text}\n\n` : `${text}\n`;
  };
  return { meta, stream: source[Symbol.asyncIterator](), encode };
}

const NO_CONTENT: HttpReplyMeta = { s: 204, h: [] };

function toOutcome(result: unknown, call: InboundCall): Outcome | Promise<Outcome> {
  if (result === undefined) return { meta: NO_CONTENT };
  if (isMaterialised() && result instanceof Response) return fromResponse(result);
  if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
    return fromIterable(result as AsyncIterable<unknown>, (call.meta as HttpCallMeta).h.accept ?? '');
  }
  return { body: stringifyResult(result, 'The answer') };
}

/** The `http` capability: collects routes and answers calls to them. */
export function createHttp(register: (syscall: string, registration: object) => void) {
  const routes: Handler[] = [];
  const define =
    (method: HttpMethod) =>
    (path: string, ...rest: [Handler] | [RouteOptions, Handler]) => {
      const [options, handler] = rest.length === 1 ? [undefined, rest[0]] : rest;
      if (typeof handler !== 'function')
        throw new TypeError(`http.${method.toLowerCase()}('${path}') needs a handler function.`);
      const index = routes.push(handler) - 1;
      register('http.route', { index, registration: toRegistration(method, path, options) });
    };
  handle('http', (call) => {
    const handler = routes[(call.meta as HttpCallMeta).i];
    if (!handler) throw new AtollError('NOT_FOUND', 'The route is gone.');
    const result = handler(new GuestHttpRequest(call));
    return result instanceof Promise ? result.then((value) => toOutcome(value, call)) : toOutcome(result, call);
  });
  return {
    get: define('GET'),
    post: define('POST'),
    put: define('PUT'),
    patch: define('PATCH'),
    delete: define('DELETE'),
  };
}

interface RouteOptions {
  params?: object;
  query?: object;
  headers?: object;
  body?: object;
  response?: object;
  [option: string]: unknown;
}

function toRegistration(method: HttpMethod, path: string, options: RouteOptions = {}): RouteRegistration {
  const { params, query, headers, body, response, ...rest } = options;
  const schemas = { params, query, headers, body, response };
  return { method, path, schemas: schemas as RouteRegistration['schemas'], ...rest } as RouteRegistration;
}
