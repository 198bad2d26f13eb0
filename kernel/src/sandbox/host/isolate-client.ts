import { AtollError, type Principal, toWireError } from '@atoll/plugin-sdk/contract';
import { ChurnMap } from '../../collections/churn-map.js';
import type { Frame } from '../protocol/frame.js';
import { FrameIds } from '../protocol/frame-ids.js';
import { BodyKind, FrameType } from '../protocol/frame-type.js';
import type { SyscallMeta } from '../protocol/messages.js';
import { Allowance } from './allowance.js';
import type { Deadlines } from './deadlines.js';
import { errorFromGuest, GuestCall, type GuestReply, type GuestRequest } from './guest-call.js';
import { HostStream } from './host-stream.js';
import { LoopShare } from './loop-share.js';
import { Syscall } from './syscall.js';

export interface IsolateClientOptions {
  isolate: number;
  name: string;
  /** Default time of a call and longest run of guest code, in ms. */
  timeoutMs: number;
  concurrency: number;
  deadlines: Deadlines;
  send: (frame: Frame) => void;
  /** Principal and trace for what the plugin does on its own. */
  principal: Principal;
  traceparent: () => string;
  onSyscall: (syscall: Syscall) => void;
  /** One-way messages: log lines and metrics. `body` is untrusted JSON text. */
  onEvent: (method: string, body: string) => void;
  onGuestError: (error: AtollError, stack: string | undefined) => void;
  /** A call missed its deadline; the supervisor looks whether the isolate still answers. */
  onMissed: (client: IsolateClient) => void;
}

const MAX_SYSCALLS = 1_024;
/** What the kernel keeps for host calls and streams that are under way, in bytes: a few of the largest, many of the usual. */
const MAX_HELD_BYTES = 268_435_456;
/** Head of a host call, in characters. */
const MAX_SYSCALL_META = 262_144;
/** Calls waiting for a free slot, per slot. */
const WAITING_PER_SLOT = 64;
/** Bodies of the calls that run and that wait, in bytes. */
const MAX_RUNNING_BYTES = 67_108_864;
const MAX_WAITING_BYTES = 268_435_456;

/** The kernel's end of one isolate: calls into it, syscalls out of it. Every promise it gives settles. */
export class IsolateClient {
  readonly #calls = new ChurnMap<number, GuestCall>();
  readonly #syscalls = new ChurnMap<number, Syscall>();
  readonly #waiting: GuestCall[] = [];
  /** Organisations that have called, with who the plugin is when it goes on in their name. */
  readonly #organisations = new Map<string, Principal>();
  readonly #ids = new FrameIds(2, 2);
  readonly #memory = new Allowance(MAX_HELD_BYTES);
  readonly #share = new LoopShare();
  /** Host calls that wait for their turn. */
  readonly #delayed: Syscall[] = [];
  #pause: NodeJS.Timeout | undefined;
  #running = 0;
  #runningBytes = 0;
  #waitingBytes = 0;
  #closed: AtollError | undefined;
  total = 0;
  errors = 0;

  constructor(readonly options: IsolateClientOptions) {}

  get inFlight(): number {
    return this.#calls.size;
  }

  get syscalls(): IterableIterator<Syscall> {
    return this.#syscalls.values();
  }

  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /** Calls the guest. Rejects with an AtollError: PLUGIN_TIMEOUT, PLUGIN_CRASHED, CANCELLED, or what the guest threw. */
  call(request: GuestRequest): Promise<GuestReply> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(this.#closed);
      const call = new GuestCall(this.#ids.take(this.#calls), request, resolve, reject);
      this.total++;
      const begins = this.#waiting.length === 0 && this.#hasRoomFor(call);
      if (!begins && !this.#mayWait(call)) {
        return reject(
          new AtollError('PLUGIN_OVERLOADED', `${this.options.name} already has ${this.#calls.size} calls in flight.`, {
            retryAfter: 1,
          }),
        );
      }
      this.#calls.set(call.id, call);
      this.#arm(call, Math.min(performance.now() + request.timeoutMs, request.deadline ?? Number.POSITIVE_INFINITY));
      this.#watch(call);
      if (call.settled) return;
      if (begins) this.#begin(call);
      else {
        this.#waiting.push(call);
        this.#waitingBytes += call.bytes;
      }
    });
  }

  /** A large body takes several places: the cell holds it, too. */
  #hasRoomFor({ bytes }: GuestCall): boolean {
    return (
      this.#running < this.options.concurrency &&
      (this.#running === 0 || this.#runningBytes + bytes <= MAX_RUNNING_BYTES)
    );
  }

  #mayWait({ bytes }: GuestCall): boolean {
    return (
      this.#waiting.length < this.options.concurrency * WAITING_PER_SLOT &&
      this.#waitingBytes + bytes <= MAX_WAITING_BYTES
    );
  }

  onFrame(frame: Frame): void {
    const call = this.#calls.get(frame.id);
    switch (frame.type) {
      case FrameType.CALL:
        return this.#onSyscall(frame);
      case FrameType.EVENT:
        return this.options.onEvent(methodOf(frame.meta), frame.body?.toString() ?? '');
      case FrameType.RESULT:
        return call && this.#onResult(call, frame);
      case FrameType.OPEN:
        return call && this.#onOpen(call, frame);
      case FrameType.ERROR:
        return call && this.#onError(call, frame.meta);
      case FrameType.CHUNK:
        return frame.id % 2 === 1 ? this.#onRequestChunk(frame) : call && this.#onChunk(call, frame);
      case FrameType.END:
        return frame.id % 2 === 1 ? this.#onRequestEnd(frame) : call && this.#onEnd(call, frame.meta);
      case FrameType.CREDIT:
        return this.#syscalls.get(frame.id)?.response?.grant(numberOf(frame.meta, 'n'));
      case FrameType.CANCEL:
        return this.#syscalls.get(frame.id)?.cancel();
    }
  }

  /** Fails everything in flight; later calls are refused with the same error. */
  close(error: AtollError): void {
    if (this.#closed) return;
    this.#closed = error;
    for (const call of [...this.#calls.values()]) this.#settle(call, error);
    for (const syscall of [...this.#syscalls.values()]) syscall.cancel(error);
    clearTimeout(this.#pause);
    this.#delayed.length = 0;
  }

  #watch(call: GuestCall): void {
    const { signal } = call.request;
    if (!signal) return;
    const onAbort = () => {
      const error = signal.reason instanceof AtollError ? signal.reason : new AtollError('CANCELLED');
      this.#giveUp(call, error);
      // The outer call's deadline is this one's: who made it wait is to be looked at, not only who waited.
      if (error.code === 'PLUGIN_TIMEOUT') this.options.onMissed(this);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    call.release = () => signal.removeEventListener('abort', onAbort);
  }

  #arm(call: GuestCall, at: number): void {
    call.deadline?.clear();
    call.deadline = this.options.deadlines.add(at, () => {
      const seconds = Math.round(call.request.timeoutMs / 100) / 10;
      this.#giveUp(call, new AtollError('PLUGIN_TIMEOUT', `${this.options.name} did not answer within ${seconds} s.`));
      this.options.onMissed(this);
    });
  }

  #disarm(call: GuestCall): void {
    call.deadline?.clear();
    call.deadline = undefined;
  }

  #begin(call: GuestCall): void {
    this.#running++;
    this.#runningBytes += call.bytes;
    const { meta, body, kind, traceparent, principal } = call.request;
    const members = typeof meta === 'string' ? meta : JSON.stringify(meta).slice(0, -1);
    this.#remember(principal?.organisation);
    const who = principal ? `,"p":${principalJson(principal)}` : '';
    const head = `${members},"d":${Math.max(0, Math.ceil(call.expires - performance.now()))},"t":${JSON.stringify(traceparent)}${who}}`;
    const bodyKind = body === undefined ? BodyKind.NONE : (kind ?? BodyKind.TEXT);
    this.#send(FrameType.CALL, call.id, head, bodyKind, body);
  }

  #remember(organisation: string | undefined): void {
    if (organisation === undefined || this.#organisations.has(organisation)) return;
    this.#organisations.set(organisation, Object.freeze({ ...this.options.principal, organisation }));
  }

  #send(type: number, id: number, meta = '', kind: Frame['kind'] = BodyKind.NONE, body?: Buffer | string): void {
    this.options.send({ type, isolate: this.options.isolate, id, kind, meta, body });
  }

  /** Cancels the call in the guest and fails it here. */
  #giveUp(call: GuestCall, error: AtollError): void {
    if (call.settled) return;
    if (!this.#waiting.includes(call)) this.#send(FrameType.CANCEL, call.id);
    this.#settle(call, error);
  }

  /** Ends a call: from here on nothing is kept of it. */
  #settle(call: GuestCall, error?: AtollError): void {
    if (call.settled) return;
    call.settled = true;
    this.#calls.delete(call.id);
    this.#disarm(call);
    call.release?.();
    // Most calls have none, and an error with its stack is not free.
    if (call.children.size > 0) {
      call.cancelChildren(error ?? new AtollError('CANCELLED', 'The call that this was made for has ended.'));
    }
    if (error) {
      this.errors++;
      call.fail(error);
    }
    const waitingAt = this.#waiting.indexOf(call);
    if (waitingAt >= 0) {
      this.#waiting.splice(waitingAt, 1);
      this.#waitingBytes -= call.bytes;
    } else {
      this.#running--;
      this.#runningBytes -= call.bytes;
    }
    while (!this.#closed && this.#waiting.length > 0 && this.#hasRoomFor(this.#waiting[0]!)) {
      const next = this.#waiting.shift()!;
      this.#waitingBytes -= next.bytes;
      this.#begin(next);
    }
  }

  #onResult(call: GuestCall, frame: Frame): void {
    if (call.stream) return;
    this.#settle(call);
    call.resolve({ meta: frame.meta, kind: frame.kind, body: frame.body as Buffer | undefined });
  }

  #onError(call: GuestCall, meta: string): void {
    const { error, stack } = errorFromGuest(meta);
    this.options.onGuestError(error, stack);
    this.#settle(call, error);
  }

  #onOpen(call: GuestCall, frame: Frame): void {
    if (call.stream) return;
    if (!call.request.streams)
      return this.#giveUp(
        call,
        new AtollError('PLUGIN_BAD_RESPONSE', 'The plugin answered with a stream where none can be.'),
      );
    // A stream that nobody begins to read must not take a place for ever.
    this.#arm(call, performance.now() + call.request.timeoutMs);
    call.stream = new HostStream({
      memory: this.#memory,
      credit: (n) => this.#send(FrameType.CREDIT, call.id, `{"n":${n}}`),
      // A slow consumer is no fault of the plugin: its time only runs while somebody waits for it.
      waiting: (waits) => (waits ? this.#arm(call, performance.now() + call.request.timeoutMs) : this.#disarm(call)),
      done: (cancelled) => {
        if (cancelled) this.#giveUp(call, new AtollError('CANCELLED'));
      },
    });
    call.resolve({ meta: frame.meta, kind: BodyKind.NONE, body: undefined, stream: call.stream });
  }

  #onChunk(call: GuestCall, frame: Frame): void {
    const body = frame.body as Buffer | undefined;
    if (!call.stream || !body || call.stream.push(body)) return;
    this.#giveUp(call, new AtollError('PLUGIN_FLOODING', 'The plugin sent more of a stream than it was asked for.'));
  }

  #onEnd(call: GuestCall, meta: string): void {
    const { stream } = call;
    if (!stream) return;
    if (meta !== '') return this.#onError(call, meta);
    this.#settle(call);
    stream.end();
  }

  #onSyscall(frame: Frame): void {
    if (frame.id % 2 === 0 || this.#syscalls.has(frame.id)) return;
    if (frame.meta.length > MAX_SYSCALL_META) {
      const problem = new AtollError(
        'VALIDATION_FAILED',
        `The head of a host call has over ${MAX_SYSCALL_META} characters.`,
      );
      return this.#send(FrameType.ERROR, frame.id, JSON.stringify(toWireError(problem)));
    }
    const meta = parseSyscallMeta(frame.meta);
    if (!meta) return;
    const parent = typeof meta.c === 'number' ? this.#calls.get(meta.c) : undefined;
    const principal = this.#ownPrincipal(meta.o);
    const { timeoutMs } = this.options;
    const traceparent = parent?.request.traceparent ?? this.options.traceparent();
    const defaults = { timeoutMs, principal: principal ?? this.options.principal, traceparent };
    const body = frame.kind === BodyKind.NONE ? undefined : (frame.body as Buffer);
    const syscall = new Syscall(frame.id, meta, body, parent, defaults, {
      send: (answer) => this.options.send({ ...answer, isolate: this.options.isolate }),
      done: (done) => this.#syscalls.delete(done.id),
      memory: this.#memory,
    });
    this.#syscalls.set(syscall.id, syscall);
    if (this.#syscalls.size > MAX_SYSCALLS)
      return syscall.refuse(new AtollError('OVERLOADED', `More than ${MAX_SYSCALLS} host calls at once.`));
    // Without its call nobody knows in whose name it is made: it must not be made in another one's.
    if (principal === undefined || (meta.c !== undefined && parent === undefined))
      return syscall.refuse(new AtollError('CANCELLED', 'The call that this was made for has ended.'));
    try {
      syscall.hold(frame.meta.length + (body?.length ?? 0));
    } catch (error) {
      return syscall.refuse(error);
    }
    this.#delayed.push(syscall);
    this.#dispatch();
  }

  /** Hands over what the guest asks for, in order; what comes too thick waits for a share of the event loop. */
  readonly #dispatch = (): void => {
    if (this.#pause !== undefined) return;
    while (this.#delayed.length > 0) {
      const { waitMs } = this.#share;
      if (waitMs > 0) {
        this.#pause = setTimeout(() => {
          this.#pause = undefined;
          this.#dispatch();
        }, waitMs);
        return;
      }
      const syscall = this.#delayed.shift()!;
      if (!syscall.settled) this.#share.use(() => this.options.onSyscall(syscall));
    }
  };

  /** For what is done after a call has ended, in the name of one of the organisations that have called; undefined for any other. */
  #ownPrincipal(organisation: unknown): Principal | undefined {
    return organisation === undefined ? this.options.principal : this.#organisations.get(organisation as string);
  }

  #onRequestChunk(frame: Frame): void {
    const syscall = this.#syscalls.get(frame.id);
    const body = frame.body as Buffer | undefined;
    if (!syscall?.request || !body || syscall.request.push(body)) return;
    syscall.cancel(new AtollError('PLUGIN_FLOODING', 'The plugin sent more of a stream than it was asked for.'));
  }

  #onRequestEnd(frame: Frame): void {
    const request = this.#syscalls.get(frame.id)?.request;
    if (frame.meta === '') request?.end();
    else request?.fail(errorFromGuest(frame.meta).error);
  }
}

/** Principals live long and make many calls. */
const principals = new WeakMap<Principal, string>();

function principalJson(principal: Principal): string {
  let json = principals.get(principal);
  if (json === undefined) {
    json = JSON.stringify(principal);
    principals.set(principal, json);
  }
  return json;
}

function parseSyscallMeta(text: string): SyscallMeta | undefined {
  try {
    const meta = JSON.parse(text) as SyscallMeta | null;
    return meta !== null && typeof meta === 'object' && typeof meta.m === 'string' ? meta : undefined;
  } catch {
    return undefined;
  }
}

function methodOf(meta: string): string {
  return parseSyscallMeta(meta)?.m ?? '';
}

function numberOf(meta: string, key: string): number {
  try {
    return Number((JSON.parse(meta) as Record<string, unknown>)[key]);
  } catch {
    return Number.NaN;
  }
}
