import type { Duplex } from 'node:stream';
import { encodeFrames, FrameDecoder, roomFor } from './codec.js';
import type { Frame } from './frame.js';
import { SendBuffers } from './send-buffers.js';

const buffers = new SendBuffers();

/** Frames over a socket, batched into few writes. */
export class FrameChannel {
  readonly #decoder = new FrameDecoder();
  #queue: Frame[] = [];
  #scheduled = false;
  #closed = false;

  constructor(
    private readonly socket: Duplex,
    private readonly handlers: {
      /** All frames of one read. */
      onFrames: (frames: Frame[]) => void;
      /** Called once, when the other side is gone or sent something malformed. */
      onClose: (error?: Error) => void;
    },
    /** When to write. As it is, everything that this turn's sockets bring shares one write. */
    private readonly later: (flush: () => void) => void = setImmediate,
  ) {
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', (error) => this.#close(error));
    socket.on('close', () => this.#close());
  }

  send(frame: Frame): void {
    if (this.#closed) return;
    this.#queue.push(frame);
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.later(this.#flushScheduled);
  }

  /** Writes what was sent so far, without waiting for more. */
  flush(): void {
    if (this.#closed || this.#queue.length === 0) return;
    const frames = this.#queue;
    this.#queue = [];
    const buffer = buffers.take(roomFor(frames));
    const size = encodeFrames(frames, buffer);
    // Also when it fails: then nobody reads it any more.
    this.socket.write(buffer.subarray(0, size), () => buffers.give(buffer));
  }

  /** Bytes that the other side has not taken yet. */
  get backlog(): number {
    return this.socket.writableLength;
  }

  close(): void {
    this.#close();
    this.socket.destroy();
  }

  readonly #flushScheduled = () => {
    this.#scheduled = false;
    this.flush();
  };

  #read(chunk: Buffer): void {
    if (this.#closed) return;
    let frames: Frame[];
    try {
      frames = this.#decoder.push(chunk);
    } catch (error) {
      this.#close(error as Error);
      this.socket.destroy();
      return;
    }
    if (frames.length > 0) this.handlers.onFrames(frames);
  }

  #close(error?: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#queue = [];
    this.handlers.onClose(error);
  }
}
