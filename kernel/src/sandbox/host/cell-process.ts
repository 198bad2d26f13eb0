import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { CellReady, ControlMeta, IsolateEnded, PingReply } from '../cell/control.js';
import { FrameChannel } from '../protocol/channel.js';
import type { Frame } from '../protocol/frame.js';
import { withOwnBuffer } from '../protocol/frame-socket.js';
import { FrameIds } from '../protocol/frame-ids.js';
import { BodyKind, FrameType, PROTOCOL_VERSION } from '../protocol/frame-type.js';
import { CELL_ENTRY } from './cell-entry.js';
import { errorFromGuest } from './guest-call.js';
import type { IsolateClient } from './isolate-client.js';

/** isolated-vm needs the first; the others keep idle isolates small: a young generation of 1 MB instead of 16. */
const ENGINE_FLAGS = [
  '--no-node-snapshot',
  '--max-semi-space-size=1',
  '--min-semi-space-size=1',
  '--optimize-for-size',
];

export interface CellHandlers {
  onIsolateEnded: (cell: CellProcess, event: IsolateEnded) => void;
  /** The process is gone, whoever ended it. Called once. */
  onExit: (cell: CellProcess, how: string) => void;
  onStderr: (cell: CellProcess, text: string) => void;
}

/** One cell process as the kernel sees it. */
export class CellProcess {
  readonly clients = new Map<number, IsolateClient>();
  readonly #child: ChildProcess;
  readonly #channel: FrameChannel;
  readonly #control = new Map<number, { resolve: (text: string) => void; reject: (error: AtollError) => void }>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #ids = new FrameIds(2, 2);
  #exited = false;
  readonly spawnedAt = performance.now();
  /** It came up once. */
  wasReady = false;
  /** No new isolates: it is about to be given up. */
  condemned = false;

  constructor(private readonly handlers: CellHandlers) {
    this.#child = spawn(process.execPath, [...ENGINE_FLAGS, CELL_ENTRY], {
      stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
      // A cell gets nothing of the kernel's environment: no secret may be read there.
      // Many threads with a malloc arena each would keep memory that no isolate uses any more.
      env: { MALLOC_ARENA_MAX: '2', NODE_ENV: process.env.NODE_ENV ?? 'production', PATH: process.env.PATH ?? '' },
    });
    this.#channel = new FrameChannel(withOwnBuffer(this.#child.stdio[3] as Socket), {
      onFrames: (frames) => this.#onFrames(frames),
      onClose: () => this.kill(),
    });
    this.#ready.promise.catch(() => {});
    this.#child.stderr?.on('data', (data: Buffer) => handlers.onStderr(this, data.toString('utf8').slice(0, 4_000)));
    this.#child.on('error', (error) => this.#onExit(error.message));
    this.#child.on('exit', (code, signal) => this.#onExit(signal ?? `exit code ${code}`));
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  get exited(): boolean {
    return this.#exited;
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  send(frame: Frame): void {
    this.#channel.send(frame);
  }

  /** A command to the cell itself. Rejects with DEADLINE_EXCEEDED when it does not answer in time. */
  async command<T>(meta: ControlMeta, timeoutMs: number, body?: string): Promise<T> {
    if (this.#exited) throw new AtollError('PLUGIN_CRASHED', 'The cell process is gone.');
    const id = this.#ids.take(this.#control);
    let timer: NodeJS.Timeout | undefined;
    try {
      const text = await new Promise<string>((resolve, reject) => {
        this.#control.set(id, { resolve, reject });
        const late = () => reject(new AtollError('DEADLINE_EXCEEDED', `The cell did not answer "${meta.m}".`));
        // After the sockets were read: when it is the kernel that was held up, the answer is there already.
        timer = setTimeout(() => setImmediate(late), timeoutMs);
        const kind = body === undefined ? BodyKind.NONE : BodyKind.TEXT;
        this.send({ type: FrameType.CALL, isolate: 0, id, kind, meta: JSON.stringify(meta), body });
      });
      return (text === '' ? undefined : JSON.parse(text)) as T;
    } finally {
      clearTimeout(timer);
      this.#control.delete(id);
    }
  }

  ping(timeoutMs: number): Promise<PingReply> {
    return this.command<PingReply>({ m: 'ping' }, timeoutMs);
  }

  /** Resident memory in bytes, read from outside so that a stuck cell can't hide it; undefined where /proc is missing. */
  rssBytes(): number | undefined {
    try {
      const pages = Number(readFileSync(`/proc/${this.pid}/statm`, 'latin1').split(' ')[1]);
      return pages * 4096;
    } catch {
      return undefined;
    }
  }

  /**
   * CPU time used so far, in ms, and whether its own thread waits for anything but the CPU, which a busy machine may withhold for a
   * while. Read from outside like the memory; where /proc is missing nothing is known, and it does not count as waiting.
   */
  activity(): { cpuMs: number | undefined; waits: boolean } {
    try {
      const stat = readFileSync(`/proc/${this.pid}/stat`, 'latin1');
      // Behind the name, which may hold anything: field 3 of the whole, and 14 and 15, in hundredths of a second.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return { cpuMs: (Number(fields[11]) + Number(fields[12])) * 10, waits: fields[0] !== 'R' };
    } catch {
      return { cpuMs: undefined, waits: false };
    }
  }

  /** Resolves when the process has ended. */
  gone(): Promise<void> {
    return this.#gone.promise;
  }

  kill(): void {
    if (!this.#exited) this.#child.kill('SIGKILL');
  }

  #onFrames(frames: Frame[]): void {
    for (const frame of frames) {
      if (frame.isolate === 0) this.#onControlFrame(frame);
      else this.#onGuestFrame(frame);
    }
  }

  /** What a guest sends may be anything: what can't be dealt with ends that guest, and nobody else. */
  #onGuestFrame(frame: Frame): void {
    const { isolate } = frame;
    try {
      this.clients.get(isolate)?.onFrame(frame);
    } catch (error) {
      const message = `The plugin sent a message that failed: ${error instanceof Error ? error.message : String(error)}`;
      this.handlers.onIsolateEnded(this, { m: 'ended', isolate, why: 'protocol', message });
    }
  }

  #onControlFrame(frame: Frame): void {
    if (frame.type === FrameType.RESULT) this.#control.get(frame.id)?.resolve(frame.meta);
    else if (frame.type === FrameType.ERROR) this.#control.get(frame.id)?.reject(errorFromGuest(frame.meta).error);
    else if (frame.type === FrameType.EVENT) this.#onCellEvent(JSON.parse(frame.meta) as CellReady | IsolateEnded);
  }

  #onCellEvent(event: CellReady | IsolateEnded): void {
    if (event.m === 'ended') return this.handlers.onIsolateEnded(this, event);
    if (event.protocol === PROTOCOL_VERSION) {
      this.wasReady = true;
      this.#ready.resolve();
    } else
      this.#ready.reject(
        new AtollError('PROTOCOL_ERROR', 'Kernel and cell are of different builds; run `npm run build`.'),
      );
  }

  #onExit(how: string): void {
    if (this.#exited) return;
    this.#exited = true;
    const error = new AtollError('PLUGIN_CRASHED', `The sandbox process ended (${how}).`);
    this.#ready.reject(error);
    for (const waiting of this.#control.values()) waiting.reject(error);
    this.#channel.close();
    this.#gone.resolve();
    this.handlers.onExit(this, how);
  }
}
