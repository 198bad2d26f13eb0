import { type Engine, type EngineIsolate, type EngineStats, type GuestBatch, GuestRunError } from '../engine/engine.js';
import { fitsWire } from '../protocol/codec.js';
import type { Frame } from '../protocol/frame.js';
import { BodyKind, FrameType } from '../protocol/frame-type.js';
import type { IsolateEnd, IsolateReport } from './control.js';
import { takeBatch, unpackPost } from './guest-batch.js';
import { ClockSteps } from './clock-steps.js';
import type { LocalOps } from './local-ops/index.js';
import { LogBudget } from './log-budget.js';
import { GuestTimers } from './timers.js';

export interface IsolateHostOptions {
  isolate: number;
  name: string;
  memoryMb: number;
  timeoutMs: number;
  localOps: LocalOps;
  /** Sends a frame to the kernel. */
  send: (frame: Frame) => void;
  /** Sends what was given to `send` now, without waiting for more. */
  flush: () => void;
  /** Whether the cell has no other isolate: then nobody is held up when it runs in the cell's own thread. */
  alone: () => boolean;
  /** Bytes of frames that the kernel has not taken yet. */
  backlog: () => number;
  /** The isolate ended by itself. Called once. */
  onEnd: (why: IsolateEnd, message: string) => void;
}

/** With the kernel this far behind, no guest code is run until it has caught up. */
const PAUSE_BACKLOG_BYTES = 67_108_864;
/** A kernel this far behind means that a guest floods it. */
const MAX_BACKLOG_BYTES = 268_435_456;
/** A guest that posts more in one run gets only so many messages for the next: it is likely to go on like that. */
const LARGE_POSTS_BYTES = 4_194_304;
const FEW_MESSAGES = 4;
const CATCH_UP_MS = 2;
const MAX_LOCAL_CALLS = 256;
/** Arguments of a local operation, in characters; parsing them holds up all guests of the cell. Its data does not count. */
const MAX_LOCAL_META = 1_048_576;

/** Of an error that nobody caught, in characters. */
const MAX_STACK = 8_000;
const LOG = '{"m":"log"}';
/** What the runtime sends on its own, by its meta, and how large it may be, in characters. It cuts longer lines itself. */
const MAX_EVENT: Readonly<Record<string, number | undefined>> = Object.assign(Object.create(null), {
  [LOG]: 131_072,
  '{"m":"metric"}': 1_024,
});

const nextTurn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** One isolate in a cell: one run at a time, what arrives meanwhile becomes the next run's batch. */
export class IsolateHost {
  #engine: EngineIsolate | undefined;
  #stats: EngineStats = { heapBytes: 0, externalBytes: 0, cpuMs: 0 };
  readonly #queue: Frame[] = [];
  readonly #timers: GuestTimers;
  readonly #logs = new LogBudget();
  readonly #clock = new ClockSteps();
  #run = 0;
  #runStarted = 0;
  #localCalls = 0;
  /** Bytes for the kernel since the last run began. */
  #posted = 0;
  #pumping = false;
  /** It ran in this thread since the engine's own tasks were last done. */
  #ranSync = false;
  #ended = false;
  #idle: (() => void) | undefined;

  constructor(private readonly options: IsolateHostOptions) {
    this.#timers = new GuestTimers((id) => this.deliver(localFrame(FrameType.TIMER_FIRE, id, '')));
  }

  /** Creates the isolate and evaluates the plugin's bundle in it. */
  async load(engine: Engine, code: string): Promise<void> {
    const { name, memoryMb, timeoutMs, localOps } = this.options;
    this.#engine = await engine.create({
      name,
      memoryMb,
      onPost: (head, text, buffers) => this.#onPost(head, text, buffers),
      onSync: (operation, argument) => localOps.sync(String(operation), String(argument)),
      onCatastrophe: (message) => this.#end('catastrophe', message),
    });
    if (this.#ended) return this.#engine.dispose();
    this.#beginRun();
    try {
      await this.#engine.run(code, `plugin:${name}`, timeoutMs);
    } finally {
      this.#finishRun();
    }
    this.#schedulePump();
  }

  deliver(frame: Frame): void {
    if (this.#ended) return;
    this.#queue.push(frame);
    this.#schedulePump();
  }

  report(): IsolateReport {
    const busyMs = this.#runStarted === 0 ? 0 : performance.now() - this.#runStarted;
    // Asking a running isolate would block this thread until the guest is done.
    if (this.#runStarted === 0 && this.#engine && !this.#ended) {
      this.#stats = this.#engine.stats();
      if (this.#ranSync) this.#engine.runTasks();
      this.#ranSync = false;
    }
    return { isolate: this.options.isolate, ...this.#stats, timers: this.#timers.size, run: this.#run, busyMs };
  }

  /** Ends the isolate. Resolves when no guest code runs any more; the kernel kills the cell if that takes too long. */
  async dispose(): Promise<void> {
    this.#release();
    if (this.#runStarted === 0) return;
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
    });
  }

  #schedulePump(): void {
    // While it loads, what comes waits.
    if (this.#pumping || this.#runStarted > 0 || this.#queue.length === 0) return;
    this.#pumping = true;
    // Not at once: what came in the same read shares one entry into the guest.
    queueMicrotask(() => void this.#pump());
  }

  async #pump(): Promise<void> {
    while (this.#queue.length > 0 && !this.#ended && this.#engine) {
      if (this.options.backlog() > PAUSE_BACKLOG_BYTES) await this.#caughtUp();
      if (this.#ended) break;
      this.#tellClock();
      const batch = takeBatch(this.#queue, this.#posted > LARGE_POSTS_BYTES ? FEW_MESSAGES : undefined);
      this.#posted = 0;
      if (!this.options.alone()) await this.#enter(this.#engine, batch);
      else {
        this.#enterSync(this.#engine, batch);
        // Between two runs the cell has to answer the kernel's pings: one that it leaves unanswered tells of a run that is too long.
        if (this.#queue.length > 0) await nextTurn();
      }
    }
    this.#pumping = false;
  }

  async #caughtUp(): Promise<void> {
    while (this.options.backlog() > PAUSE_BACKLOG_BYTES && !this.#ended)
      await new Promise((resolve) => setTimeout(resolve, CATCH_UP_MS));
  }

  async #enter(engine: EngineIsolate, batch: GuestBatch): Promise<void> {
    this.#beginRun();
    try {
      await engine.deliver(batch, this.options.timeoutMs);
    } catch (error) {
      this.#onRunError(error);
    } finally {
      this.#finishRun();
    }
  }

  #enterSync(engine: EngineIsolate, batch: GuestBatch): void {
    this.#beginRun();
    this.#ranSync = true;
    try {
      engine.deliverSync(batch, this.options.timeoutMs);
    } catch (error) {
      this.#onRunError(error);
    } finally {
      this.#finishRun();
    }
  }

  /** The guest sees the system clock alone; without this, what it measures by it would jump along. */
  #tellClock(): void {
    const step = this.#clock.take();
    if (step !== 0) this.#queue.unshift(localFrame(FrameType.CLOCK_STEP, 0, String(step)));
  }

  #beginRun(): void {
    this.#run++;
    this.#runStarted = performance.now();
  }

  #finishRun(): void {
    this.#runStarted = 0;
    this.#idle?.();
  }

  #onRunError(error: unknown): void {
    const failure = error instanceof GuestRunError ? error.failure : 'error';
    const message = error instanceof Error ? error.message : String(error);
    // Which call was running can't be told, and its state is half done: the isolate is of no further use.
    if (failure === 'timeout') return this.#end('timeout', 'The plugin ran for too long without a break.');
    if (failure === 'memory') return this.#end('memory', 'The plugin ran out of memory.');
    if (failure === 'disposed') return this.#end('crashed', 'The isolate is gone.');
    // An unhandled rejection or a throw in a callback: the plugin's own bug, and it goes on.
    if (this.#mayLog(true))
      this.#log('error', `Uncaught: ${message}`, error instanceof GuestRunError ? error.guestStack : undefined);
  }

  #onPost(head: unknown, text: unknown, buffers: unknown[]): void {
    if (this.#ended) return;
    const frames = unpackPost(head, text, buffers);
    if (!frames) return this.#end('protocol', 'The plugin posted something that is not a frame.');
    for (const frame of frames) this.#onGuestFrame({ ...frame, isolate: this.options.isolate });
    // A guest that runs in this thread may go on for long before anything else is written.
    if (this.#ranSync) this.options.flush();
    if (this.options.backlog() > MAX_BACKLOG_BYTES)
      this.#end('flooding', 'The plugin sends faster than the kernel takes.');
  }

  #onGuestFrame(frame: Frame): void {
    switch (frame.type) {
      case FrameType.TIMER_SET:
        return this.#timers.set(frame.id, Number(frame.meta));
      case FrameType.TIMER_CLEAR:
        return this.#timers.clear(frame.id);
      case FrameType.LOCAL_CALL:
        void this.#onLocalCall(frame);
        return;
      case FrameType.EVENT:
        return this.#onEvent(frame);
      default:
        return this.#toKernel(frame);
    }
  }

  #toKernel(frame: Frame): void {
    this.#posted += frame.body?.length ?? 0;
    // The kernel gives up a cell that sends it too much, with all isolates in it: only the sender may pay.
    if (fitsWire(frame)) this.options.send(frame);
    else this.#end('protocol', 'The plugin posted a frame that is too large.');
  }

  #onEvent(frame: Frame): void {
    const limit = MAX_EVENT[frame.meta];
    // Also what only looks otherwise: the kernel reads it as JSON, and then no limit would hold.
    if (limit === undefined) return this.#end('protocol', 'The plugin posted an event of no known kind.');
    const fits = (frame.body?.length ?? 0) <= limit;
    if (frame.meta !== LOG) return fits ? this.#toKernel(frame) : undefined;
    if (this.#mayLog(fits)) this.#toKernel(frame);
  }

  #mayLog(fits: boolean): boolean {
    const { pass, dropped } = this.#logs.take(fits);
    if (dropped > 0) this.#log('warn', `${dropped} log lines were dropped: more than the allowed rate, or too long.`);
    return pass;
  }

  async #onLocalCall(frame: Frame): Promise<void> {
    const refusal =
      this.#localCalls >= MAX_LOCAL_CALLS
        ? 'Too many operations at once.'
        : frame.meta.length > MAX_LOCAL_META && 'The arguments are too large.';
    if (refusal) {
      const meta = JSON.stringify({ e: ['OperationError', refusal] });
      return this.deliver(localFrame(FrameType.LOCAL_RESULT, frame.id, meta));
    }
    this.#localCalls++;
    const { meta, bytes } = await answerLocalCall(this.options.localOps, frame);
    this.#localCalls--;
    this.deliver(localFrame(FrameType.LOCAL_RESULT, frame.id, JSON.stringify(meta ?? null), bytes));
  }

  #log(level: string, message: string, stack?: string): void {
    const fields = stack && { fields: { stack: stack.slice(0, MAX_STACK) } };
    const body = JSON.stringify({ level, message: message.slice(0, MAX_STACK), ...fields });
    this.options.send({
      type: FrameType.EVENT,
      isolate: this.options.isolate,
      id: 0,
      kind: BodyKind.TEXT,
      meta: LOG,
      body,
    });
  }

  #end(why: IsolateEnd, message: string): void {
    if (this.#ended) return;
    this.#release();
    this.options.onEnd(why, message);
  }

  #release(): void {
    this.#ended = true;
    this.#queue.length = 0;
    this.#timers.dispose();
    this.options.localOps.dispose();
    this.#engine?.dispose();
  }
}

function localFrame(type: number, id: number, meta: string, bytes?: Uint8Array): Frame {
  const body = bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { type, isolate: 0, id, kind: body ? BodyKind.BYTES : BodyKind.NONE, meta, body };
}

/** Local operations answer with data, also for errors; what a guest sends is untrusted. */
async function answerLocalCall(localOps: LocalOps, frame: Frame): Promise<{ meta: unknown; bytes?: Uint8Array }> {
  try {
    const { op, meta } = JSON.parse(frame.meta) as { op: unknown; meta: unknown };
    return await localOps.call(String(op), meta, frame.body instanceof Buffer ? frame.body : undefined);
  } catch {
    return { meta: { e: ['OperationError', 'The operation failed.'] } };
  }
}
