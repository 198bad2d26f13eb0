import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import type { IsolateEnd, IsolateEnded, IsolateReport, PingReply } from '../cell/control.js';
import type { GuestFailure } from '../engine/engine.js';
import { CellPool, type CellPoolOptions } from './cell-pool.js';
import type { CellProcess } from './cell-process.js';
import { Deadlines } from './deadlines.js';
import { IsolateClient } from './isolate-client.js';
import type { Syscall } from './syscall.js';

export interface SupervisorOptions extends Omit<CellPoolOptions, 'onIsolateEnded' | 'onExit' | 'onStderr'> {
  heartbeatMs: number;
  /** Unanswered heartbeats after which a cell is killed. */
  heartbeatMisses: number;
  /** From a missed deadline to dispose, and again from dispose to SIGKILL, in ms. */
  graceMs: number;
  /** RSS that a cell may use beside what its isolates are allowed, in MiB. */
  cellBaseMb: number;
  startTimeoutMs: number;
  log: (level: 'info' | 'warn' | 'error', message: string, fields?: object) => void;
}

export interface IsolateSpec {
  /** Plugin id. */
  name: string;
  /** Isolates of one group may share a cell. */
  group: string;
  /** In a cell without any other of its group: what is tried must not be able to end what runs. */
  apart?: boolean;
  code: string;
  memoryMb: number;
  timeoutMs: number;
  concurrency: number;
  principal: Principal;
  traceparent: () => string;
  onSyscall: (syscall: Syscall, isolate: SupervisedIsolate) => void;
  onEvent: (method: string, body: string) => void;
  onGuestError: (error: AtollError, stack: string | undefined) => void;
  /** The isolate ended by itself; `culprit` is whether it is known, unknown or excluded that this plugin was at fault. */
  onEnd: (end: IsolateFate) => void;
  /** The cell will be given up for another isolate's sake: move elsewhere, calls in flight may finish here. */
  onEvict: () => void;
}

export interface IsolateFate {
  why: IsolateEnd;
  message: string;
  culprit: 'yes' | 'no' | 'unknown';
}

const CODE_OF: Record<IsolateEnd, ConstructorParameters<typeof AtollError>[0]> = {
  timeout: 'PLUGIN_TIMEOUT',
  memory: 'PLUGIN_MEMORY',
  catastrophe: 'PLUGIN_MEMORY',
  flooding: 'PLUGIN_FLOODING',
  protocol: 'PROTOCOL_ERROR',
  crashed: 'PLUGIN_CRASHED',
};

/** An isolate and where it lives. */
export interface SupervisedIsolate {
  readonly client: IsolateClient;
  readonly cell: CellProcess;
  readonly spec: IsolateSpec;
  report: IsolateReport | undefined;
  /** Its top-level code has run. */
  loaded: boolean;
  ended: boolean;
}

/** A heartbeat that a cell has not answered yet. */
interface Beat {
  missed: number;
  /** So many may be missed. */
  allowed: number;
  /** So many in a row were missed by a cell that did nothing at all. */
  idle: number;
  /** What the cell had used of the CPU when it was sent or last missed, in ms. */
  cpuMs: number | undefined;
}

/** How long neighbours' calls may finish in a cell that is given up. */
const EVICTION_MS = 2_000;
/** Longest start of a cell process, in ms. */
const CELL_START_MS = 60_000;
/** A busy machine may keep an innocent cell from answering for a while, in ms. */
const MIN_PING_MS = 3_000;

const TOO_LONG: IsolateFate = {
  why: 'timeout',
  message: 'The plugin ran for too long without a break.',
  culprit: 'yes',
};

/**
 * Keeps plugins' isolates in cells and ends what misbehaves. The ladder: a missed deadline → is the isolate still running the
 * same code? → dispose → not settled → the neighbours move out → SIGKILL. Where there is no neighbour, the cell runs the isolate in
 * its own thread and answers nothing meanwhile: silence then says that the same code still runs, and SIGKILL comes at once.
 */
export class Supervisor {
  readonly #deadlines = new Deadlines();
  readonly #isolates = new Map<number, SupervisedIsolate>();
  readonly #pool: CellPool;
  readonly #examining = new Set<number>();
  readonly #beats = new Map<CellProcess, Beat>();
  readonly #heartbeat: NodeJS.Timeout;
  #lastBeat = performance.now();
  #nextIsolate = 1;

  constructor(private readonly options: SupervisorOptions) {
    this.#pool = new CellPool({
      ...options,
      onIsolateEnded: (_, event) => void this.#onIsolateEnded(event),
      onExit: (cell, how) => this.#onCellExit(cell, how),
      onStderr: (cell, text) => options.log('warn', 'a cell wrote to stderr', { pid: cell.pid, text }),
    });
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs);
  }

  get cells(): readonly CellProcess[] {
    return this.#pool.cells;
  }

  /** Creates an isolate and evaluates the plugin's bundle in it. Rejects with an AtollError; nothing is left then. */
  async start(spec: IsolateSpec): Promise<SupervisedIsolate> {
    const cell = await this.#pool.acquire(spec.group, spec.apart);
    const isolate = this.#register(spec, cell);
    try {
      const { name, memoryMb, timeoutMs } = spec;
      const load = { m: 'load' as const, isolate: isolate.client.options.isolate, name, memoryMb, timeoutMs };
      await cell.command(load, this.options.startTimeoutMs, spec.code);
      isolate.loaded = true;
      return isolate;
    } catch (error) {
      isolate.ended = true;
      await this.#remove(isolate, toStartError(error));
      throw toStartError(error);
    }
  }

  /** Ends an isolate. What is still in flight fails with `error`. */
  async stop(
    isolate: SupervisedIsolate,
    error = new AtollError('PLUGIN_NOT_ACTIVE', 'The plugin was stopped.'),
  ): Promise<void> {
    isolate.ended = true;
    await this.#remove(isolate, error);
  }

  async close(): Promise<void> {
    clearInterval(this.#heartbeat);
    for (const isolate of this.#isolates.values()) {
      isolate.ended = true;
      isolate.client.close(new AtollError('SHUTTING_DOWN'));
    }
    await this.#pool.close();
    this.#deadlines.dispose();
  }

  #register(spec: IsolateSpec, cell: CellProcess): SupervisedIsolate {
    const id = this.#nextIsolate++;
    const client = new IsolateClient({
      ...spec,
      isolate: id,
      deadlines: this.#deadlines,
      send: (frame) => cell.send(frame),
      onSyscall: (syscall) => spec.onSyscall(syscall, isolate),
      onMissed: () => void this.#examine(isolate),
    });
    const isolate: SupervisedIsolate = { client, cell, spec, report: undefined, loaded: false, ended: false };
    this.#isolates.set(id, isolate);
    cell.clients.set(id, client);
    return isolate;
  }

  /** Fails what is in flight, then disposes; a cell in which that does not work is given up. */
  async #remove(isolate: SupervisedIsolate, error: AtollError): Promise<void> {
    const id = isolate.client.options.isolate;
    isolate.client.close(error);
    if (!this.#isolates.delete(id) || isolate.cell.exited) return;
    try {
      await isolate.cell.command({ m: 'dispose', isolate: id }, this.options.graceMs);
      isolate.cell.clients.delete(id);
      this.#pool.release(isolate.cell);
    } catch {
      isolate.cell.clients.delete(id);
      this.#condemn(isolate.cell, `${isolate.spec.name} could not be stopped`);
    }
  }

  /** A deadline was missed or a run is too long: an isolate that still runs the same code after the grace time is ended. */
  async #examine(isolate: SupervisedIsolate): Promise<void> {
    const id = isolate.client.options.isolate;
    if (isolate.ended || this.#examining.has(id)) return;
    this.#examining.add(id);
    try {
      const first = await this.#reportOf(isolate);
      if (isolate.ended || first === undefined || first.busyMs === 0) return;
      await new Promise((resolve) => setTimeout(resolve, this.options.graceMs));
      const second = await this.#reportOf(isolate);
      if (isolate.ended || second === undefined || second.run !== first.run || second.busyMs === 0) return;
      await this.#end(isolate, TOO_LONG);
    } finally {
      this.#examining.delete(id);
    }
  }

  async #reportOf(isolate: SupervisedIsolate): Promise<IsolateReport | undefined> {
    try {
      const reply = await isolate.cell.ping(Math.max(this.options.graceMs * 2, MIN_PING_MS));
      return reply.isolates.find((report) => report.isolate === isolate.client.options.isolate);
    } catch {
      // The cell itself does not answer: which of its isolates is at fault can't be told, unless there is but one.
      const alone = this.#onlyIsolateOf(isolate.cell) === isolate;
      this.options.log('warn', 'a cell does not answer', { pid: isolate.cell.pid, plugin: isolate.spec.name });
      this.#pool.retire(isolate.cell);
      isolate.cell.kill();
      if (alone) await this.#end(isolate, TOO_LONG);
      return undefined;
    }
  }

  /** The isolate that the cell runs in its own thread, because it has no other. */
  #onlyIsolateOf(cell: CellProcess): SupervisedIsolate | undefined {
    const running = [...cell.clients.keys()].flatMap((id) => this.#isolates.get(id) ?? []);
    const [only, ...others] = running.filter(({ loaded, ended }) => loaded && !ended);
    return others.length === 0 ? only : undefined;
  }

  async #end(isolate: SupervisedIsolate, fate: IsolateFate): Promise<void> {
    if (isolate.ended) return;
    isolate.ended = true;
    const removed = this.#remove(isolate, new AtollError(CODE_OF[fate.why], fate.message));
    isolate.spec.onEnd(fate);
    await removed;
  }

  async #onIsolateEnded(event: IsolateEnded): Promise<void> {
    const isolate = this.#isolates.get(event.isolate);
    if (!isolate) return;
    await this.#end(isolate, { why: event.why, message: event.message, culprit: 'yes' });
  }

  /** Gives a cell up: no new isolates, its inhabitants move, and what they have in flight gets a moment to finish. */
  #condemn(cell: CellProcess, why: string): void {
    if (cell.condemned || cell.exited) return;
    this.options.log('warn', 'giving up a cell', { pid: cell.pid, why });
    cell.condemned = true;
    this.#pool.retire(cell);
    const inhabitants = [...this.#isolates.values()].filter((isolate) => isolate.cell === cell && !isolate.ended);
    for (const isolate of inhabitants) isolate.spec.onEvict();
    setTimeout(() => cell.kill(), inhabitants.length === 0 ? 0 : EVICTION_MS);
  }

  #onCellExit(cell: CellProcess, how: string): void {
    this.#beats.delete(cell);
    this.#pool.retire(cell);
    const inhabitants = [...this.#isolates.values()].filter((isolate) => isolate.cell === cell);
    // Alone in its cell, or the only one that was at work: it is the culprit. Else any of those at work may be.
    const atWork = inhabitants.filter((isolate) => isolate.client.inFlight > 0 || (isolate.report?.busyMs ?? 0) > 0);
    const suspects = atWork.length > 0 ? atWork : inhabitants;
    for (const isolate of inhabitants) {
      const suspected = suspects.includes(isolate) && !cell.condemned;
      const culprit = suspected ? (suspects.length === 1 ? 'yes' : 'unknown') : 'no';
      void this.#end(isolate, { why: 'crashed', message: `Its sandbox process ended (${how}).`, culprit });
    }
  }

  #beat(): void {
    const now = performance.now();
    const heldUp = now - this.#lastBeat > this.options.heartbeatMs * 2;
    this.#lastBeat = now;
    // A kernel that was held up itself has not read yet what its cells have answered.
    if (heldUp) return;
    for (const cell of this.#pool.cells) {
      const limit = this.#rssLimit(cell);
      const rss = cell.rssBytes() ?? 0;
      if (rss > limit) {
        this.options.log('error', 'a cell uses too much memory', { pid: cell.pid, rss, limit });
        cell.kill();
      } else if (cell.wasReady) void this.#ping(cell);
      // On a busy machine starting takes a while: that is no missed heartbeat.
      else if (performance.now() - cell.spawnedAt > CELL_START_MS) cell.kill();
    }
  }

  #rssLimit(cell: CellProcess): number {
    let allowed = this.options.cellBaseMb;
    // The engine may hand a heap up to three times its limit before it ends it.
    for (const client of cell.clients.values())
      allowed += (this.#isolates.get(client.options.isolate)?.spec.memoryMb ?? 0) * 3;
    return allowed * 1_048_576;
  }

  async #ping(cell: CellProcess): Promise<void> {
    const waiting = this.#beats.get(cell);
    if (waiting) {
      const { cpuMs, waits } = cell.activity();
      // One that does nothing at all is stopped, or its engine has given up for want of memory.
      waiting.idle = waits && cpuMs === waiting.cpuMs ? waiting.idle + 1 : 0;
      waiting.cpuMs = cpuMs;
      waiting.missed++;
      if (waiting.missed > waiting.allowed || waiting.idle >= this.options.heartbeatMisses) cell.kill();
      return;
    }
    const allowed = this.#allowedMisses(cell);
    this.#beats.set(cell, { missed: 1, allowed, idle: 0, cpuMs: cell.activity().cpuMs });
    try {
      this.#onReports(await cell.ping(this.options.heartbeatMs * (allowed + 1)));
      this.#beats.delete(cell);
    } catch {
      // Counted above, or the cell is gone.
    }
  }

  /** A cell that runs its only isolate itself answers when that is done: it may take as long as a run may. */
  #allowedMisses(cell: CellProcess): number {
    const { heartbeatMs, heartbeatMisses, graceMs } = this.options;
    const only = this.#onlyIsolateOf(cell);
    return heartbeatMisses + (only ? Math.ceil((only.spec.timeoutMs + graceMs) / heartbeatMs) : 0);
  }

  #onReports(reply: PingReply): void {
    for (const report of reply.isolates) {
      const isolate = this.#isolates.get(report.isolate);
      if (!isolate) continue;
      isolate.report = report;
      // Also what no call waits for, a timer say, may not run longer than a call may.
      if (report.busyMs > isolate.spec.timeoutMs + this.options.graceMs) void this.#examine(isolate);
    }
  }
}

const FAILURE: Record<GuestFailure, string> = {
  timeout: 'Its top-level code ran for too long',
  memory: 'Its top-level code ran out of memory',
  disposed: 'Its isolate was gone before its top-level code had ended',
  error: 'Its top-level code failed',
};

function toStartError(error: unknown): AtollError {
  if (!(error instanceof AtollError))
    return new AtollError('PLUGIN_START_FAILED', error instanceof Error ? error.message : String(error));
  if (error.code === 'PLUGIN_START_FAILED') {
    const { failure } = (error.extras ?? {}) as { failure?: GuestFailure };
    return new AtollError('PLUGIN_START_FAILED', `${FAILURE[failure ?? 'error']}: ${error.message}`);
  }
  if (error.code !== 'DEADLINE_EXCEEDED') return error;
  return new AtollError('PLUGIN_START_FAILED', 'Its top-level code did not finish in time.');
}
