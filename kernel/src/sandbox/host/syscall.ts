import { AtollError, type Principal, toWireError } from '@atoll/plugin-sdk/contract';
import type { Frame } from '../protocol/frame.js';
import { BodyKind, FrameType } from '../protocol/frame-type.js';
import type { SyscallMeta } from '../protocol/messages.js';
import type { Allowance } from './allowance.js';
import type { GuestCall } from './guest-call.js';
import { HostStream } from './host-stream.js';
import { OutgoingHostStream } from './outgoing-stream.js';

/** What a syscall answers: nothing, a JSON value, or a head with a stream of chunks. */
export interface SyscallReply {
  value?: unknown;
  /** JSON text that is sent as it is, instead of `value`. */
  json?: Buffer | string;
  /** Bytes, instead of `value`. */
  bytes?: Buffer;
  head?: unknown;
  stream?: AsyncIterable<Buffer | string>;
}

/** Listens to what a syscall is answered. */
export interface SyscallTap {
  /** Returns the reply that is sent: the same, though its stream may be wrapped. */
  answered(reply: SyscallReply): SyscallReply;
  refused(error: unknown): void;
}

/** One call of a guest to the host, as the syscall table sees it. */
export class Syscall {
  readonly #controller = new AbortController();
  #held = 0;
  request: HostStream | undefined;
  response: OutgoingHostStream | undefined;
  settled = false;
  tap: SyscallTap | undefined;

  constructor(
    readonly id: number,
    readonly meta: SyscallMeta,
    readonly body: Buffer | undefined,
    /** The call that this one is made for, when it is known. */
    readonly parent: GuestCall | undefined,
    private readonly defaults: { timeoutMs: number; principal: Principal; traceparent: string },
    private readonly transport: {
      send: (frame: Omit<Frame, 'isolate'>) => void;
      done: (syscall: Syscall) => void;
      /** Bytes that the kernel keeps for the host calls of this guest. */
      memory: Allowance;
    },
  ) {
    parent?.children.add(this);
    if (meta.s) this.request = this.#openRequest();
  }

  get method(): string {
    return this.meta.m;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Latest time for the answer, by `performance.now()`: what is left of the outer call, or less when the guest asked for less. */
  get deadline(): number {
    const own =
      typeof this.meta.d === 'number' && this.meta.d > 0 ? performance.now() + this.meta.d : Number.POSITIVE_INFINITY;
    return Math.min(own, this.parent?.expires ?? performance.now() + this.defaults.timeoutMs);
  }

  get principal(): Principal {
    return this.parent?.request.principal ?? this.defaults.principal;
  }

  get traceparent(): string {
    return this.parent?.request.traceparent ?? this.defaults.traceparent;
  }

  /** Counts bytes that are kept until this call has ended. Throws PLUGIN_FLOODING when all of the guest's keep too many. */
  hold(bytes: number): void {
    if (this.settled) return;
    if (!this.transport.memory.take(bytes))
      throw new AtollError('PLUGIN_FLOODING', 'The host calls that are under way hold too much data.');
    this.#held += bytes;
  }

  answer(given: SyscallReply): void {
    if (this.settled) return;
    const reply = this.tap ? this.tap.answered(given) : given;
    const meta = reply.head === undefined ? '' : JSON.stringify(reply.head);
    if (!reply.stream) {
      this.#settle();
      const text = reply.json ?? (reply.value === undefined ? undefined : JSON.stringify(reply.value));
      const body = reply.bytes ?? text;
      this.transport.send({
        type: FrameType.RESULT,
        id: this.id,
        kind: body === undefined ? BodyKind.NONE : reply.bytes ? BodyKind.BYTES : BodyKind.TEXT,
        meta,
        body,
      });
      return;
    }
    this.transport.send({ type: FrameType.OPEN, id: this.id, kind: BodyKind.NONE, meta, body: undefined });
    this.response = new OutgoingHostStream(
      reply.stream,
      (chunk) => this.#sendChunk(chunk),
      (error) => this.#sendEnd(error),
    );
    void this.response.pump();
  }

  refuse(error: unknown): void {
    if (this.settled) return;
    this.tap?.refused(error);
    const meta = JSON.stringify(toWireError(error));
    if (this.response) return this.#sendEnd(error);
    this.#settle();
    this.transport.send({ type: FrameType.ERROR, id: this.id, kind: BodyKind.NONE, meta, body: undefined });
  }

  /** The guest, or the end of the outer call, gives this one up. */
  cancel(error: AtollError = new AtollError('CANCELLED')): void {
    if (this.settled) return;
    this.refuse(error);
    this.#controller.abort(error);
  }

  #sendChunk(chunk: Buffer | string): void {
    const kind = typeof chunk === 'string' ? BodyKind.TEXT : BodyKind.BYTES;
    this.transport.send({ type: FrameType.CHUNK, id: this.id, kind, meta: '', body: chunk });
  }

  #sendEnd(error?: unknown): void {
    if (this.settled) return;
    this.#settle();
    const meta = error === undefined ? '' : JSON.stringify(toWireError(error));
    this.transport.send({ type: FrameType.END, id: this.id, kind: BodyKind.NONE, meta, body: undefined });
  }

  #settle(): void {
    this.settled = true;
    this.transport.memory.give(this.#held);
    this.response?.stop();
    this.parent?.children.delete(this);
    this.request?.fail(new AtollError('CANCELLED'));
    this.transport.done(this);
  }

  #openRequest(): HostStream {
    return new HostStream({
      memory: this.transport.memory,
      credit: (n) =>
        this.transport.send({
          type: FrameType.CREDIT,
          id: this.id,
          kind: BodyKind.NONE,
          meta: `{"n":${n}}`,
          body: undefined,
        }),
      waiting: () => {},
      done: (cancelled) => {
        if (cancelled)
          this.transport.send({ type: FrameType.CANCEL, id: this.id, kind: BodyKind.NONE, meta: '', body: undefined });
      },
    });
  }
}
