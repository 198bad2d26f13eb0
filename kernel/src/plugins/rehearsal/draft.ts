import { toWireError } from '@atoll/plugin-sdk/contract';
import type { Syscall, SyscallReply } from '../../sandbox/host/syscall.js';
import { attempt } from './attempt.js';
import { toAnswer, toPayload } from './payload.js';
import type { HostCall, RecordedCall } from './recorded-call.js';
import { RecordedStream } from './recorded-stream.js';

/** Why a call is not kept. */
export type LeftOut = 'tooLarge' | 'binary' | 'notRepeatable' | 'busy';

/** A call that is being recorded. What it gathers in the clear is gone when the call ends. */
export class Draft {
  leftOut: LeftOut | undefined;
  readonly began = performance.now();
  #bytes = 0;

  constructor(
    readonly call: RecordedCall,
    private readonly maxBytes: number,
  ) {}

  /** So much more has been gathered. False once the call is not kept anyway. */
  count(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes > this.maxBytes) this.leaveOut('tooLarge');
    return this.leftOut === undefined;
  }

  leaveOut(why: LeftOut): void {
    this.leftOut ??= why;
    this.call.hostCalls.length = 0;
    delete this.call.body;
    this.call.output = {};
  }

  /** Follows a host call that is made for this call. */
  follow(syscall: Syscall): void {
    if (!this.count((syscall.body?.length ?? 0) + syscall.method.length)) return;
    const call = hostCallOf(syscall);
    if (!this.count(JSON.stringify(call.input.head ?? null).length)) return;
    this.call.hostCalls.push(call);
    syscall.tap = {
      answered: (reply) => attempt(() => this.#answered(call, reply)) ?? reply,
      refused: (error) => {
        call.answer = { ...call.answer, error: toWireError(error) };
      },
    };
  }

  #answered(call: HostCall, reply: SyscallReply): SyscallReply {
    const { bytes, json, value } = reply;
    const size = bytes?.length ?? json?.length ?? (value === undefined ? 0 : JSON.stringify(value).length);
    if (!this.count(size)) return reply;
    call.answer = toAnswer(reply);
    if (call.answer.body && 'opaque' in call.answer.body) this.leaveOut('binary');
    if (!reply.stream) return reply;
    const chunks: string[] = [];
    call.answer.stream = chunks;
    const onChunk = (chunk: Buffer | string) => {
      if (typeof chunk !== 'string') call.answer.bytes = true;
    };
    return { ...reply, stream: this.tee(reply.stream, chunks, { onChunk }) };
  }

  /** The same stream; its chunks are kept, as far as they fit. */
  tee<T extends Buffer | string>(
    stream: AsyncIterable<T>,
    chunks: string[],
    on: { onChunk?: (chunk: T) => void; onEnd?: (error?: unknown) => void },
  ): RecordedStream<T> {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    const onChunk = (chunk: T) => {
      on.onChunk?.(chunk);
      if (!this.count(chunk.length)) return void chunks.splice(0);
      try {
        chunks.push(typeof chunk === 'string' ? chunk : decoder.decode(chunk, { stream: true }));
      } catch {
        this.leaveOut('binary');
      }
    };
    return new RecordedStream(stream, onChunk, on.onEnd ?? (() => {}));
  }
}

/** As it was made, without an answer. */
export function hostCallOf({ method, meta, body }: Syscall): HostCall {
  const payload = toPayload(body);
  return {
    method,
    input: {
      ...(meta.a !== undefined && { head: meta.a }),
      ...(payload && { body: payload }),
      ...(meta.s && { streamed: true as const }),
    },
    answer: {},
  };
}
