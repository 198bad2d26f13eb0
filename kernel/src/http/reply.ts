import type { ServerResponse } from 'node:http';
import { once } from 'node:events';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { HttpContext } from './context.js';
import type { ErrorTemplate, RouteReply } from '../plugins/types.js';
import { ownForm } from './error-template.js';
import { asAtollError } from './errors.js';
import { HOP_BY_HOP } from './headers.js';
import { COMPRESS_FROM, compressBody } from './compress.js';
import { problemOf } from './problem.js';
import { type Header, JSON_TYPE, setStandardHeaders, standardHeaders } from './standard-headers.js';

/** Headers that the kernel sets itself. */
const KERNELS = new Set(['content-length', 'x-request-id', 'traceparent']);
/** What pages of other origins may read is the operator's to say. */
const CORS = 'access-control-';
/** Headers of which an answer has one; of others all are sent. */
const SINGLE = new Set([
  'content-type',
  'content-encoding',
  'location',
  'etag',
  'last-modified',
  'content-disposition',
]);
/** Answers that have no body, whatever the plugin sent. */
const BODILESS = new Set([204, 205, 304]);
/** What is larger is not worth copying into one piece with its head, in bytes. */
const MAX_ONE_PIECE = 32_768;
const MAX_HEADERS = 128;
const MAX_HEADER_BYTES = 65_536;
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Writes a plugin's answer to the client: whole, or chunk by chunk as fast as the client takes it. */
export function sendReply(ctx: HttpContext, reply: RouteReply, template?: ErrorTemplate): Promise<void> | undefined {
  if (reply.stream) return sendStream(ctx, { ...reply, stream: reply.stream }, template);
  const headers = reply.headers ? merged(checkedHeaders(reply)) : JSON_HEADERS;
  if (reply.body && isPlain(ctx, reply.body, reply.status, headers)) {
    writeAtOnce(ctx, reply.status, headers, reply.body);
    return undefined;
  }
  handToKoa(ctx, reply, headers);
  return compressBody(ctx);
}

/** Nothing is left to be decided about it: its type is known, nothing was said of it by others, and its body is sent as it is. */
function isPlain({ req, res }: HttpContext, body: Buffer, status: number, headers: Headers): boolean {
  return (
    req.method !== 'HEAD' &&
    !BODILESS.has(status) &&
    headers.has('content-type') &&
    (body.length < COMPRESS_FROM || req.headers['accept-encoding'] === undefined) &&
    res.getHeaderNames().length === 0
  );
}

/** Most answers are such. With its headers one by one, and through Koa, the same answer costs the kernel a tenth more of its time. */
function writeAtOnce(ctx: HttpContext, status: number, headers: Headers, body: Buffer): void {
  const { res } = ctx;
  const flat: string[] = ['content-length', String(body.length)];
  for (const [name, value] of standardHeaders(ctx, headers.get('content-type') as string | undefined))
    if (!headers.has(name)) flat.push(name, value);
  for (const [name, value] of headers)
    for (const one of typeof value === 'string' ? [value] : value) flat.push(name, one);
  res.writeHead(status, flat);
  ctx.respond = false;
  // Each byte as a character, whatever the bytes mean: Node writes the head and a string in one piece.
  if (body.length <= MAX_ONE_PIECE) res.end(body.toString('latin1'), 'latin1');
  else res.end(body);
}

function handToKoa(ctx: HttpContext, { status, body }: RouteReply, headers: Headers): void {
  applyHead(ctx, status, headers);
  if (body) ctx.body = body;
  else {
    ctx.body = null;
    ctx.status = status;
  }
}

/** Names in lower case. All are checked before any is set: a problem in place of the answer has none of them. */
function checkedHeaders({ status, headers = [] }: RouteReply): Header[] {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw new AtollError('PLUGIN_BAD_RESPONSE', `The answer's status ${status} is not between 200 and 599.`);
  }
  const checked: Header[] = [];
  let bytes = 0;
  for (const [name, value] of headers) {
    bytes += name.length + value.length;
    if (!NAME.test(name) || !VALUE.test(value)) {
      throw new AtollError('PLUGIN_BAD_RESPONSE', `The answer's header "${name.slice(0, 100)}" is malformed.`);
    }
    const key = name.toLowerCase();
    if (!HOP_BY_HOP.has(key) && !KERNELS.has(key) && !key.startsWith(CORS)) checked.push([key, value]);
  }
  if (headers.length > MAX_HEADERS || bytes > MAX_HEADER_BYTES) {
    throw new AtollError(
      'PLUGIN_BAD_RESPONSE',
      `The answer has more than ${MAX_HEADERS} headers or ${MAX_HEADER_BYTES} bytes of them.`,
    );
  }
  return checked;
}

/** By name; of cookies there may be several. */
type Headers = ReadonlyMap<string, string | readonly string[]>;
const JSON_HEADERS: Headers = new Map([['content-type', JSON_TYPE]]);

function merged(headers: readonly Header[]): Headers {
  const all = new Map<string, string | string[]>();
  for (const [name, value] of headers) {
    const before = all.get(name);
    if (name === 'set-cookie') all.set(name, [...(before ?? []), value]);
    else all.set(name, before === undefined || SINGLE.has(name) ? value : `${before}, ${value}`);
  }
  return all;
}

function applyHead(ctx: HttpContext, status: number, headers: Headers): void {
  ctx.status = status;
  for (const [name, value] of headers) {
    if (name === 'vary') ctx.vary(value as string);
    else ctx.set(name, value as string | string[]);
  }
}

async function sendStream(
  ctx: HttpContext,
  reply: RouteReply & { stream: AsyncIterable<Buffer> },
  template: ErrorTemplate | undefined,
): Promise<void> {
  const iterator = reply.stream[Symbol.asyncIterator]();
  const headers = await orReturn(iterator, () => merged(checkedHeaders(reply)));
  // The first chunk decides: a stream that fails before it becomes an ordinary error.
  const first = await iterator.next();
  const { res } = ctx;
  applyHead(ctx, reply.status, headers);
  setStandardHeaders(ctx);
  // The body is written here, not by Koa: its end has to tell a broken stream from a whole one.
  ctx.respond = false;
  res.statusCode = ctx.status;
  if (ctx.method === 'HEAD') {
    await iterator.return?.();
    res.end();
    return;
  }
  // Otherwise the head goes out with the first chunk, in one write.
  if (first.done) res.flushHeaders();
  try {
    for (let result = first; !result.done; result = await iterator.next()) {
      if (res.destroyed) break;
      if (!res.write(result.value)) await drained(res);
    }
    if (res.destroyed) await iterator.return?.();
    else res.end();
  } catch (error) {
    await iterator.return?.();
    breakOff(ctx, asAtollError(error), template);
  }
}

/** What cannot be sent must not keep the plugin at work. */
async function orReturn<T>(iterator: AsyncIterator<Buffer>, run: () => T): Promise<T> {
  try {
    return run();
  } catch (error) {
    await iterator.return?.();
    throw error;
  }
}

async function drained(res: ServerResponse): Promise<void> {
  const gone = new AbortController();
  try {
    await Promise.race([once(res, 'drain', { signal: gone.signal }), once(res, 'close', { signal: gone.signal })]);
  } finally {
    gone.abort();
  }
}

/** Event streams tell the client what happened; in any other format only a cut connection can't be taken for the end. */
function breakOff({ res, state }: HttpContext, error: AtollError, template: ErrorTemplate | undefined): void {
  if (res.destroyed) return;
  if (!String(res.getHeader('content-type') ?? '').startsWith('text/event-stream')) {
    // Not before what was already written is on its way: it leaves at the end of the turn.
    setImmediate(() => res.destroy());
    return;
  }
  const problem = problemOf(error, state.requestId as string | undefined);
  res.end(`event: error\ndata: ${ownForm(template, problem) ?? JSON.stringify(problem)}\n\n`);
}
