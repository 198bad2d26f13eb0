import { FrameType, STREAM_WINDOW } from '../../protocol/frame-type.js';
import { bindCall } from './async-context.js';
import { describeError, reviveError } from './errors.js';
import { outbox } from './post.js';

export type Chunk = string | Uint8Array;

/** Chunks that the host sends, handed out as they are asked for; asking grants the host more. */
export class IncomingStream {
  #chunks: Chunk[] = [];
  #waiting: { resolve: (result: IteratorResult<Chunk>) => void; reject: (error: unknown) => void } | undefined;
  #ended = false;
  #error: unknown;
  #consumed = 0;

  constructor(
    private readonly id: number,
    /** Called once, when the stream is over or given up. */
    private readonly onDone: (cancelled: boolean) => void,
  ) {}

  push(chunk: Chunk): void {
    if (this.#ended) return;
    if (this.#waiting) {
      const { resolve } = this.#waiting;
      this.#waiting = undefined;
      this.#credit(chunk);
      resolve({ done: false, value: chunk });
    } else this.#chunks.push(chunk);
  }

  end(errorMeta: string): void {
    this.fail(errorMeta === '' ? undefined : reviveError(errorMeta));
  }

  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.onDone(false);
    if (!this.#waiting) return;
    const { resolve, reject } = this.#waiting;
    this.#waiting = undefined;
    if (error === undefined) resolve({ done: true, value: undefined });
    else reject(error);
  }

  next(): Promise<IteratorResult<Chunk>> {
    const chunk = this.#chunks.shift();
    if (chunk !== undefined) {
      this.#credit(chunk);
      return Promise.resolve({ done: false, value: chunk });
    }
    if (this.#ended) {
      const error = this.#error;
      this.#error = undefined;
      return error === undefined ? Promise.resolve({ done: true, value: undefined }) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** Gives the stream up: the host stops sending. */
  cancel(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#chunks = [];
    this.#waiting?.resolve({ done: true, value: undefined });
    this.#waiting = undefined;
    this.onDone(true);
  }

  #credit(chunk: Chunk): void {
    this.#consumed += chunk.length;
    if (this.#ended || this.#consumed < STREAM_WINDOW / 4) return;
    outbox.push(FrameType.CREDIT, this.id, `{"n":${this.#consumed}}`);
    this.#consumed = 0;
  }
}

const encoder = () => new TextEncoder();

/** The stream as web-standard bytes. `asError` makes of a failure what its readers get. */
export function toByteStream(
  incoming: IncomingStream,
  asError: (error: unknown) => unknown = (error) => error,
): ReadableStream<Uint8Array> {
  const next = () =>
    incoming.next().catch((error) => {
      throw asError(error);
    });
  const stream = new ReadableStream<Uint8Array>(
    {
      type: 'bytes',
      async pull(controller) {
        untouched.delete(stream);
        // Empty chunks are skipped: a pull that enqueues nothing would not be asked again.
        let bytes: Uint8Array = new Uint8Array(0);
        while (bytes.byteLength === 0) {
          const { done, value } = await next();
          if (done) {
            controller.close();
            (controller as ReadableByteStreamController).byobRequest?.respond(0);
            return;
          }
          bytes = typeof value === 'string' ? encoder().encode(value) : value;
        }
        controller.enqueue(bytes as Uint8Array<ArrayBuffer>);
      },
      cancel() {
        incoming.cancel();
      },
    },
    { highWaterMark: 0 },
  );
  untouched.set(stream, { next, cancel: () => incoming.cancel() });
  return stream;
}

interface Source {
  next: () => Promise<IteratorResult<Chunk>>;
  cancel: () => void;
}

/** Streams of the host that nobody has read from. What is only passed on need not go through the stream's own queues. */
const untouched = new WeakMap<ReadableStream, Source>();

/** Sends chunks to the host, no further ahead than it has granted. */
export class OutgoingStream {
  #credit = STREAM_WINDOW;
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(private readonly id: number) {}

  grant(bytes: number): void {
    this.#credit += bytes;
    this.#wake?.();
  }

  /** The host wants no more. */
  stop(): void {
    this.#stopped = true;
    this.#wake?.();
  }

  /** Sends all of the source, then END; a failure of the source becomes END with the error. */
  async pump(source: AsyncIterator<unknown> | Iterator<unknown>, encode: (value: unknown) => Chunk): Promise<void> {
    let failure = '';
    // The source's own code runs for the call that opened the stream, at every step.
    const next = bindCall(() => source.next());
    try {
      while (!this.#stopped) {
        const { done, value } = await next();
        if (done) break;
        await this.#send(encode(value));
      }
    } catch (error) {
      failure = JSON.stringify(describeError(error));
    }
    if (!this.#stopped) outbox.push(FrameType.END, this.id, failure);
    if (this.#stopped || failure !== '') await source.return?.();
  }

  /** Bytes go in pieces, since a frame has a limit. Text stays whole: its borders may mean something. */
  async #send(chunk: Chunk): Promise<void> {
    if (typeof chunk === 'string') return this.#sendPiece(chunk);
    for (let at = 0; at < chunk.length && !this.#stopped; at += MAX_PIECE)
      await this.#sendPiece(chunk.length > MAX_PIECE ? chunk.subarray(at, at + MAX_PIECE) : chunk);
  }

  async #sendPiece(piece: Chunk): Promise<void> {
    while (this.#credit <= 0 && !this.#stopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
    if (this.#stopped || piece.length === 0) return;
    this.#credit -= piece.length;
    outbox.push(FrameType.CHUNK, this.id, '', piece);
  }
}

/** In bytes. */
const MAX_PIECE = 1_048_576;

/** A chunk of a body. Throws a TypeError for what is neither text nor bytes. */
export function bodyChunk(value: unknown): Chunk {
  if (typeof value === 'string' || value instanceof Uint8Array) return value;
  throw new TypeError('A chunk of the body is neither text nor a Uint8Array.');
}

/** The chunks of a stream, which is taken as a whole. Ending the iteration early cancels it. */
export function iterateStream(stream: ReadableStream<Uint8Array>): AsyncIterator<Chunk> {
  const source = stream.locked ? undefined : untouched.get(stream);
  if (!source) return readThrough(stream);
  untouched.delete(stream);
  // For everybody else it is as if it were read.
  stream.getReader();
  const returned = async (): Promise<IteratorResult<Chunk>> => {
    source.cancel();
    return { done: true, value: undefined };
  };
  return { next: source.next, return: returned };
}

async function* readThrough(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  let finished = false;
  try {
    while (true) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    finished = true;
  } finally {
    if (!finished) await reader.cancel().catch(() => {});
  }
}
