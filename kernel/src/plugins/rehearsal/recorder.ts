import type { ErrorCode } from '@atoll/plugin-sdk/contract';
import type { GuestReply, GuestRequest } from '../../sandbox/host/guest-call.js';
import type { Syscall } from '../../sandbox/host/syscall.js';
import { BodyKind } from '../../sandbox/protocol/frame-type.js';
import { attempt } from './attempt.js';
import { maskCall } from './call-mask.js';
import { outputOf, outputOfChunks, outputOfError } from './call-output.js';
import { Draft, type LeftOut } from './draft.js';
import type { Known, Masker } from './masker.js';
import { toPayload } from './payload.js';
import type { CallOutput, RecordedCall } from './recorded-call.js';
import type { Registered } from './registered.js';
import { REGISTERING } from './registering.js';
import { CallRing } from './ring.js';

export interface RecorderOptions {
  /** Share of the calls that is recorded, 0 to 1. */
  sample: number;
  keep: number;
  maxBytes: number;
  maxCallBytes: number;
}

export interface RecorderDeps {
  registered: Registered;
  masker: Masker;
  /** Secrets of the configuration. */
  base: Known;
}

/** Calls that are recorded at the same time. */
const MAX_AT_ONCE = 64;
const RECORDED: ReadonlySet<unknown> = new Set(['http', 'channel', 'service', 'setup']);
/** What came of circumstances and not of the plugin's doing. */
const CIRCUMSTANCES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'CANCELLED',
  'PLUGIN_TIMEOUT',
  'PLUGIN_CRASHED',
  'PLUGIN_MEMORY',
  'PLUGIN_OVERLOADED',
  'PLUGIN_NOT_ACTIVE',
  'PLUGIN_FLOODING',
  'PROTOCOL_ERROR',
  'SHUTTING_DOWN',
]);

/**
 * Records calls of one running instance, in memory and masked: what went in, what the host answered it, and what came out. It passes
 * everything on as it is; whatever goes wrong with the recording costs the recording only.
 */
export class CallRecorder {
  readonly ring: CallRing;
  readonly leftOut: Record<LeftOut, number> = { tooLarge: 0, binary: 0, notRepeatable: 0, busy: 0 };
  /** The host calls of its setup, when it was recorded from the start. */
  setup: RecordedCall | undefined;
  readonly #drafts = new Map<GuestRequest, Draft>();

  constructor(
    readonly options: RecorderOptions,
    private readonly deps: RecorderDeps,
  ) {
    this.ring = new CallRing(options);
  }

  async record(request: GuestRequest, call: (request: GuestRequest) => Promise<GuestReply>): Promise<GuestReply> {
    const draft = this.#begin(request);
    if (!draft) return call(request);
    let reply: GuestReply;
    try {
      reply = await call(request);
    } catch (error) {
      this.#end(request, draft, outputOfError(error));
      throw error;
    }
    const output = attempt(() => outputOf(draft.call.target, reply)) ?? {};
    if (!reply.stream) {
      draft.count(reply.body?.length ?? 0);
      this.#end(request, draft, output);
      return reply;
    }
    const chunks: string[] = [];
    const onEnd = (error?: unknown) =>
      this.#end(request, draft, {
        ...output,
        ...outputOfChunks(draft.call.target, chunks),
        ...(error !== undefined && outputOfError(error)),
      });
    return { ...reply, stream: draft.tee(reply.stream, chunks, { onEnd }) };
  }

  /** A host call of the instance. */
  hostCall(syscall: Syscall): void {
    const draft = syscall.parent && this.#drafts.get(syscall.parent.request);
    if (!draft || draft.leftOut || REGISTERING.has(syscall.method)) return;
    attempt(() => draft.follow(syscall));
  }

  #begin(request: GuestRequest): Draft | undefined {
    return attempt(() => {
      const { m, i, ...rest } = metaOf(request);
      if (!RECORDED.has(m) || (m !== 'setup' && Math.random() >= this.options.sample)) return undefined;
      const target =
        m === 'setup' ? ({ kind: 'setup' } as const) : this.deps.registered.find({ m, i, n: rest.n })?.target;
      if (!target) return undefined;
      this.#makeRoom();
      const { principal } = request;
      const body = toPayload(request.body);
      const call: RecordedCall = {
        target,
        at: Date.now(),
        ms: 0,
        // A configuration is in the recording of no call.
        meta: m === 'setup' ? {} : rest,
        ...(principal && { principal }),
        ...(body && { body }),
        ...(request.kind === BodyKind.BYTES && { bytes: true as const }),
        output: {},
        hostCalls: [],
      };
      const draft = new Draft(call, this.options.maxCallBytes);
      if (body && 'opaque' in body) draft.leaveOut('binary');
      draft.count(request.body?.length ?? 0);
      this.#drafts.set(request, draft);
      return draft;
    });
  }

  /** Streams may stay open for ever; the oldest makes room. */
  #makeRoom(): void {
    if (this.#drafts.size < MAX_AT_ONCE) return;
    const [[oldest, draft] = []] = this.#drafts;
    if (!oldest || !draft) return;
    draft.leaveOut('busy');
    this.#drafts.delete(oldest);
    this.leftOut.busy++;
  }

  #end(request: GuestRequest, draft: Draft, output: CallOutput): void {
    // A stream may end more than once: by itself, and when it is given up.
    if (!this.#drafts.delete(request)) return;
    if (output.error && CIRCUMSTANCES.has(output.error.code as ErrorCode)) draft.leaveOut('notRepeatable');
    if (draft.leftOut) return void this.leftOut[draft.leftOut]++;
    attempt(() => this.#keep({ ...draft.call, ms: Math.round(performance.now() - draft.began), output }));
  }

  #keep(call: RecordedCall): void {
    const { registered, masker, base } = this.deps;
    const { target } = call;
    const index = target.kind === 'setup' ? undefined : registered.indexOf(target);
    const schemas = registered.find({ m: target.kind, i: index, n: call.meta.n })?.schemas;
    const masked = maskCall(call, masker, { base, schemas });
    if (!masked) return void this.leftOut.binary++;
    if (target.kind === 'setup') this.setup = masked;
    else this.ring.add(masked);
  }
}

/** Of a route's call the meta is JSON text without its closing brace. */
function metaOf({ meta }: GuestRequest): Record<string, unknown> {
  return typeof meta === 'string' ? (JSON.parse(`${meta}}`) as Record<string, unknown>) : meta;
}
