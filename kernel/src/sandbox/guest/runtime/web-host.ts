import { AtollError } from '@atoll/plugin-sdk/contract';
import { FrameIds } from '../../protocol/frame-ids.js';
import { FrameType } from '../../protocol/frame-type.js';
import type { FetchBody, FetchHead, FetchReplyHead, WebHost } from '../web/host.js';
import { logLine } from './capabilities.js';
import { networkError } from '../web/network-error.js';
import type { ManualClock } from './clock.js';
import type { RandomHex } from './random.js';
import { syscall } from './outbound.js';
import { outbox } from './post.js';
import { type Chunk, toByteStream } from './streams.js';

interface LocalReply {
  meta: unknown;
  bytes?: Uint8Array;
}

/** What the web APIs need of the host, over the bridge: timers, crypto and random in the cell, `fetch` in the kernel. */
export class BridgeWebHost implements WebHost {
  readonly #ids = new FrameIds(1, 1);
  readonly #local = new Map<number, { resolve: (reply: LocalReply) => void; reject: (error: unknown) => void }>();

  constructor(private readonly syncCallback: (operation: string, argument: string) => string) {}

  /** Instead of the cell's randomness, for rehearsals. */
  random: RandomHex | undefined;

  sync(operation: string, argument: string): string {
    if (this.random && operation === 'random') return this.random(Number(argument));
    return this.syncCallback(operation, argument);
  }

  call(operation: string, meta: unknown, bytes?: Uint8Array): Promise<LocalReply> {
    const id = this.#ids.take(this.#local);
    return new Promise((resolve, reject) => {
      this.#local.set(id, { resolve, reject });
      outbox.push(FrameType.LOCAL_CALL, id, JSON.stringify({ op: operation, meta }), bytes);
    });
  }

  onLocalResult(id: number, meta: string, body: Chunk | undefined): void {
    const waiting = this.#local.get(id);
    this.#local.delete(id);
    if (!waiting) return;
    const bytes = body instanceof Uint8Array ? body : undefined;
    waiting.resolve({ meta: meta === '' ? undefined : JSON.parse(meta), ...(bytes && { bytes }) });
  }

  /** Instead of the cell's timers, for plugins under test. */
  clock: ManualClock | undefined;

  setTimer(id: number, ms: number): void {
    if (this.clock) return this.clock.set(id, ms);
    outbox.push(FrameType.TIMER_SET, id, String(ms));
  }

  clearTimer(id: number): void {
    if (this.clock) return this.clock.clear(id);
    outbox.push(FrameType.TIMER_CLEAR, id, '');
  }

  log(level: 'debug' | 'info' | 'warn' | 'error', message: string): void {
    logLine(level, message);
  }

  async fetch(head: FetchHead, body: FetchBody, signal: AbortSignal | null) {
    const answer = await syscall('net.fetch', { ...(signal && { signal }), head, ...(body !== null && { body }) });
    const replyHead = JSON.parse(answer.meta) as FetchReplyHead;
    if (answer.stream) return { head: replyHead, body: toByteStream(answer.stream, networkError) };
    if (answer.body !== undefined)
      throw new AtollError('PROTOCOL_ERROR', 'The host answered a fetch with a whole body.');
    return { head: replyHead, body: null };
  }
}
