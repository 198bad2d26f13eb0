import { AtollError, fromWireError, type Principal, type WireError } from '@atoll/plugin-sdk/contract';
import type { BodyKindValue } from '../protocol/frame-type.js';
import type { Deadline } from './deadlines.js';
import type { HostStream } from './host-stream.js';

/** A call from the kernel into a guest. */
export interface GuestRequest {
  /** Method and method-specific members of the frame's meta; or these as JSON text that lacks its closing brace. */
  meta: { m: string; [member: string]: unknown } | string;
  body?: Buffer | string;
  kind?: BodyKindValue;
  /** Time for the answer, and then between the chunks of a stream, in ms. */
  timeoutMs: number;
  /** Absolute bound (of `performance.now()`) for the answer, inherited from an outer call. */
  deadline?: number;
  traceparent: string;
  principal?: Principal;
  signal?: CancelSignal;
}

/** What a call needs of an AbortSignal. */
export interface CancelSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  addEventListener(type: 'abort', listener: () => void, options?: { once: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** Its answer. `meta` is JSON text or ''. */
export interface GuestReply {
  meta: string;
  /** TEXT when the body is known to be UTF-8. */
  kind: BodyKindValue;
  body: Buffer | undefined;
  stream?: AsyncIterableIterator<Buffer>;
}

/** Something that lives no longer than the call it was made for. */
export interface CallChild {
  cancel(error: AtollError): void;
}

/** The kernel's record of a call in flight. */
export class GuestCall {
  readonly children = new Set<CallChild>();
  deadline: Deadline | undefined;
  stream: HostStream | undefined;
  release: (() => void) | undefined;
  settled = false;

  constructor(
    readonly id: number,
    readonly request: GuestRequest,
    readonly resolve: (reply: GuestReply) => void,
    readonly reject: (error: AtollError) => void,
  ) {}

  /** When it has to be answered, by `performance.now()`. */
  get expires(): number {
    return this.deadline?.at ?? performance.now() + this.request.timeoutMs;
  }

  fail(error: AtollError): void {
    if (this.stream) this.stream.fail(error);
    else this.reject(error);
  }

  cancelChildren(error: AtollError): void {
    for (const child of [...this.children]) child.cancel(error);
    this.children.clear();
  }
}

/** An error as a guest sent it: its code and text are kept, anything malformed becomes PLUGIN_ERROR. */
export function errorFromGuest(meta: string): { error: AtollError; stack?: string } {
  try {
    const wire = JSON.parse(meta) as WireError & { stack?: unknown };
    if (typeof wire.message !== 'string') throw new TypeError('no message');
    const extras = typeof wire.extras === 'object' && wire.extras !== null ? wire.extras : {};
    const error = fromWireError({ code: wire.code, message: wire.message, extras });
    return typeof wire.stack === 'string' ? { error, stack: wire.stack } : { error };
  } catch {
    return { error: new AtollError('PLUGIN_ERROR', 'The plugin failed without a readable error.') };
  }
}
