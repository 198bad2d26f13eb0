import { AtollError } from '@atoll/plugin-sdk/contract';
import { FrameType } from '../../protocol/frame-type.js';
import type { KernelCallMeta } from '../../protocol/messages.js';
import { runInCall } from './async-context.js';
import { describeError } from './errors.js';
import { outbox } from './post.js';
import { type Chunk, IncomingStream, OutgoingStream } from './streams.js';

/** One call from the host that this guest is answering. */
export class InboundCall {
  #controller: AbortController | undefined;
  #cancelled = false;
  /** The host no longer knows it. What goes on in the background is on its own then, in the name of the same organisation. */
  ended = false;
  request: IncomingStream | undefined;
  response: OutgoingStream | undefined;

  constructor(
    readonly id: number,
    readonly meta: KernelCallMeta,
    readonly body: Chunk | undefined,
  ) {}

  /** Made on first use, because most handlers never look at it. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#cancelled) this.#controller.abort(cancelReason());
    }
    return this.#controller.signal;
  }

  cancel(): void {
    if (this.#cancelled) return;
    this.#cancelled = true;
    this.#controller?.abort(cancelReason());
    this.request?.fail(cancelReason());
    this.response?.stop();
  }

  get json(): unknown {
    return typeof this.body === 'string' ? JSON.parse(this.body) : undefined;
  }
}

const cancelReason = () => new DOMException('The caller went away or the deadline passed.', 'AbortError');

/** What a handler answers: one body, or a stream of chunks. */
export type Outcome =
  | { meta?: unknown; body?: Chunk }
  | { meta?: unknown; stream: AsyncIterator<unknown>; encode: (value: unknown) => Chunk };

export type CallHandler = (call: InboundCall) => Outcome | Promise<Outcome>;

const handlers = new Map<string, CallHandler>();
const active = new Map<number, InboundCall>();

export function handle(method: string, handler: CallHandler): void {
  handlers.set(method, handler);
}

export function onCall(id: number, metaText: string, body: Chunk | undefined): void {
  const meta = JSON.parse(metaText) as KernelCallMeta;
  const call = new InboundCall(id, meta, body);
  active.set(id, call);
  if (meta.s) {
    call.request = new IncomingStream(id, (cancelled) => {
      if (cancelled) outbox.push(FrameType.CANCEL, id, '');
    });
  }
  const handler = handlers.get(meta.m);
  if (!handler) return refuse(call, new AtollError('PROTOCOL_ERROR', `The guest has no "${meta.m}".`));
  try {
    const outcome = runInCall(call, () => handler(call));
    if (outcome instanceof Promise) outcome.then((value) => answer(call, value)).catch((error) => refuse(call, error));
    else answer(call, outcome);
  } catch (error) {
    refuse(call, error);
  }
}

function answer(call: InboundCall, outcome: Outcome): void {
  const meta = outcome.meta === undefined ? '' : JSON.stringify(outcome.meta);
  if (!('stream' in outcome)) {
    end(call);
    outbox.push(FrameType.RESULT, call.id, meta, outcome.body);
    return;
  }
  call.response = new OutgoingStream(call.id);
  outbox.push(FrameType.OPEN, call.id, meta);
  void runInCall(call, () => call.response?.pump(outcome.stream, outcome.encode))?.then(() => end(call));
}

function end(call: InboundCall): void {
  active.delete(call.id);
  call.ended = true;
}

function refuse(call: InboundCall, error: unknown): void {
  end(call);
  outbox.push(FrameType.ERROR, call.id, JSON.stringify(describeError(error)));
}

export function onCancel(id: number): void {
  const call = active.get(id);
  if (!call) return;
  end(call);
  runInCall(call, () => call.cancel());
}

export function onChunk(id: number, chunk: Chunk): void {
  active.get(id)?.request?.push(chunk);
}

export function onEnd(id: number, meta: string): void {
  active.get(id)?.request?.end(meta);
}

export function onCredit(id: number, bytes: number): void {
  active.get(id)?.response?.grant(bytes);
}
