import type { Duplex } from 'node:stream';
import type { Engine } from '../engine/engine.js';
import { FrameChannel } from '../protocol/channel.js';
import type { Frame } from '../protocol/frame.js';
import { BodyKind, FrameType, PROTOCOL_VERSION } from '../protocol/frame-type.js';
import type { CellReady, ControlMeta, IsolateEnded, LoadMeta, PingReply } from './control.js';
import { IsolateHost } from './isolate-host.js';
import { createLocalOps } from './local-ops/index.js';

/** The isolates of one cell process, and the kernel's commands about them. */
export class Cell {
  readonly #isolates = new Map<number, IsolateHost>();
  readonly #channel: FrameChannel;

  constructor(
    private readonly engine: Engine,
    socket: Duplex,
    onKernelGone: () => void,
  ) {
    const handlers = { onFrames: (frames: Frame[]) => this.#onFrames(frames), onClose: onKernelGone };
    // What a guest posts is a batch already: to wait for the end of the turn would only delay it.
    this.#channel = new FrameChannel(socket, handlers, queueMicrotask);
  }

  announce(): void {
    this.#tell({ m: 'ready', protocol: PROTOCOL_VERSION, pid: process.pid });
  }

  #onFrames(frames: Frame[]): void {
    for (const frame of frames) {
      if (frame.isolate === 0) void this.#onControl(frame);
      else this.#isolates.get(frame.isolate)?.deliver(frame);
    }
  }

  async #onControl(frame: Frame): Promise<void> {
    try {
      const result = await this.#control(JSON.parse(frame.meta) as ControlMeta, frame);
      this.#answer(FrameType.RESULT, frame.id, result);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      const failure = (error as { failure?: string }).failure ?? 'error';
      this.#answer(FrameType.ERROR, frame.id, { code: 'PLUGIN_START_FAILED', message, extras: { failure } });
    }
  }

  #control(meta: ControlMeta, frame: Frame): Promise<unknown> | unknown {
    switch (meta.m) {
      case 'load':
        return this.#load(meta, frame.body?.toString() ?? '');
      case 'dispose':
        return this.#dispose(meta.isolate);
      case 'ping':
        return this.#ping();
    }
  }

  async #load(meta: LoadMeta, code: string): Promise<void> {
    const { isolate } = meta;
    const host = new IsolateHost({
      ...meta,
      localOps: createLocalOps(),
      send: (frame) => this.#channel.send(frame),
      flush: () => this.#channel.flush(),
      alone: () => this.#isolates.size === 1,
      backlog: () => this.#channel.backlog,
      // It stays listed until the kernel disposes it: its last run may not have ended yet.
      onEnd: (why, message) => this.#tell({ m: 'ended', isolate, why, message }),
    });
    this.#isolates.set(isolate, host);
    try {
      await host.load(this.engine, code);
    } catch (error) {
      this.#isolates.delete(isolate);
      void host.dispose();
      throw error;
    }
  }

  async #dispose(isolate: number): Promise<void> {
    const host = this.#isolates.get(isolate);
    this.#isolates.delete(isolate);
    await host?.dispose();
  }

  #ping(): PingReply {
    return { rssBytes: process.memoryUsage.rss(), isolates: [...this.#isolates.values()].map((host) => host.report()) };
  }

  #answer(type: number, id: number, meta: unknown): void {
    this.#channel.send({
      type,
      isolate: 0,
      id,
      kind: BodyKind.NONE,
      meta: meta === undefined ? '' : JSON.stringify(meta),
      body: undefined,
    });
  }

  #tell(event: CellReady | IsolateEnded): void {
    this.#channel.send({
      type: FrameType.EVENT,
      isolate: 0,
      id: 0,
      kind: BodyKind.NONE,
      meta: JSON.stringify(event),
      body: undefined,
    });
  }
}
