import {
  AtollError,
  type ErrorExtras,
  fromWireError,
  type Principal,
  type WireError,
} from '@atoll/plugin-sdk/contract';
import type { BodyKindValue } from '../protocol/frame-type.js';
import type { Deadline } from './deadlines.js';
import { isShallow } from './guest-json.js';
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
  /** The answer may be a stream: then somebody reads it, or gives it up. */
  streams?: boolean;
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

  /** Of its body. */
  get bytes(): number {
    return this.request.body?.length ?? 0;
  }

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

/** What is kept of a guest's error, in characters; and how deeply its extras may be nested. */
const MAX_MESSAGE = 10_000;
const MAX_STACK = 20_000;
const MAX_EXTRAS_DEPTH = 16;
/** An error as a whole, in characters: more than the guest's runtime ever makes of one. */
const MAX_ERROR = 262_144;

/** They are written again and again on their way: what is too deep for that is left out. */
function extrasFromGuest(extras: unknown): ErrorExtras {
  if (typeof extras !== 'object' || extras === null || Array.isArray(extras)) return {};
  return isShallow(extras, MAX_EXTRAS_DEPTH) ? (extras as ErrorExtras) : {};
}

/** An error as a guest sent it: its code and text are kept, anything malformed becomes PLUGIN_ERROR. */
export function errorFromGuest(meta: string): { error: AtollError; stack?: string } {
  try {
    if (meta.length > MAX_ERROR) throw new RangeError('too large');
    const wire = JSON.parse(meta) as WireError & { stack?: unknown };
    if (typeof wire.message !== 'string') throw new TypeError('no message');
    const message = wire.message.slice(0, MAX_MESSAGE);
    // The kernel's own failures are not for a plugin to announce.
    const code = wire.code === 'INTERNAL' ? 'PLUGIN_ERROR' : wire.code;
    const error = fromWireError({ code, message, extras: extrasFromGuest(wire.extras) });
    return typeof wire.stack === 'string' ? { error, stack: wire.stack.slice(0, MAX_STACK) } : { error };
  } catch {
    return { error: new AtollError('PLUGIN_ERROR', 'The plugin failed without a readable error.') };
  }
}
