import { FrameIds } from '../../protocol/frame-ids.js';
import { FrameType } from '../../protocol/frame-type.js';
import type { SyscallMeta } from '../../protocol/messages.js';
import { currentCall } from './async-context.js';
import { reviveError } from './errors.js';
import type { InboundCall } from './inbound.js';
import { outbox } from './post.js';
import { bodyChunk, type Chunk, IncomingStream, OutgoingStream, iterateStream } from './streams.js';

/** The host's answer to a syscall: a head, and either a whole body or a stream. */
export interface Answer {
  meta: string;
  body?: Chunk;
  stream?: IncomingStream;
}

interface Pending {
  resolve: (answer: Answer) => void;
  reject: (error: unknown) => void;
  request?: OutgoingStream;
  response?: IncomingStream;
  release: () => void;
}

export interface SyscallOptions {
  signal?: AbortSignal;
  timeoutMs?: number;
  /** Input that goes into the head, because the body is bytes. */
  head?: unknown;
  body?: Uint8Array | ReadableStream<Uint8Array> | string;
}

const ids = new FrameIds(1, 2);
const pending = new Map<number, Pending>();

/** Calls a host capability. Rejects with an AtollError, or with the signal's reason. */
export function syscall(method: string, options: SyscallOptions = {}): Promise<Answer> {
  const { signal, timeoutMs, head, body } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  const id = ids.take(pending);
  const streamed = typeof body === 'object' && !(body instanceof Uint8Array);
  const meta: SyscallMeta = { m: method };
  const parent = currentCall();
  if (parent) Object.assign(meta, belongingTo(parent));
  if (timeoutMs !== undefined) meta.d = timeoutMs;
  if (streamed) meta.s = 1;
  if (head !== undefined) meta.a = head;
  return new Promise((resolve, reject) => {
    const abort = () => cancel(id, signal?.reason);
    const entry: Pending = { resolve, reject, release: () => signal?.removeEventListener('abort', abort) };
    outbox.push(
      FrameType.CALL,
      id,
      JSON.stringify(meta),
      streamed ? undefined : (body as string | Uint8Array | undefined),
    );
    signal?.addEventListener('abort', abort);
    pending.set(id, entry);
    if (streamed) {
      entry.request = new OutgoingStream(id);
      void entry.request.pump(iterateStream(body as ReadableStream<Uint8Array>), bodyChunk);
    }
  });
}

/** To a call that the host knows, or to the organisation of one that has ended. */
function belongingTo({ id, ended, meta }: InboundCall): Pick<SyscallMeta, 'c' | 'o'> {
  if (!ended) return { c: id };
  const organisation = meta.p?.organisation;
  return organisation === undefined ? {} : { o: organisation };
}

function cancel(id: number, reason: unknown): void {
  const entry = pending.get(id);
  if (!entry) return;
  outbox.push(FrameType.CANCEL, id, '');
  close(id, entry);
  entry.reject(reason);
  entry.response?.fail(reason);
}

function close(id: number, entry: Pending): void {
  pending.delete(id);
  entry.request?.stop();
  entry.release();
}

export function onResult(id: number, meta: string, body: Chunk | undefined): void {
  const entry = pending.get(id);
  if (!entry) return;
  close(id, entry);
  entry.resolve({ meta, ...(body !== undefined && { body }) });
}

export function onError(id: number, meta: string): void {
  const entry = pending.get(id);
  if (!entry) return;
  close(id, entry);
  entry.reject(reviveError(meta));
}

export function onOpen(id: number, meta: string): void {
  const entry = pending.get(id);
  if (!entry) return;
  const stream = new IncomingStream(id, (cancelled) => {
    if (cancelled) outbox.push(FrameType.CANCEL, id, '');
    close(id, entry);
  });
  entry.response = stream;
  entry.resolve({ meta, stream });
}

export function onChunk(id: number, chunk: Chunk): void {
  pending.get(id)?.response?.push(chunk);
}

export function onEnd(id: number, meta: string): void {
  pending.get(id)?.response?.end(meta);
}

export function onCredit(id: number, bytes: number): void {
  pending.get(id)?.request?.grant(bytes);
}

/** The host wants no more of the request stream. */
export function onCancel(id: number): void {
  pending.get(id)?.request?.stop();
}

/** A syscall whose answer is a JSON value. */
export async function ask<T>(
  method: string,
  input?: unknown,
  options: Pick<SyscallOptions, 'signal' | 'timeoutMs'> = {},
): Promise<T> {
  const answer = await syscall(method, { ...options, ...(input !== undefined && { body: JSON.stringify(input) }) });
  return (typeof answer.body === 'string' ? JSON.parse(answer.body) : undefined) as T;
}

/** A one-way message to the host. */
export function tell(method: string, input: unknown): void {
  outbox.push(FrameType.EVENT, 0, `{"m":"${method}"}`, JSON.stringify(input));
}
