import { defineClass } from './define.js';
import { webHost } from './host.js';

/*
 * CompressionStream and DecompressionStream over zlib in the cell. Both ends map to calls there, so that its buffers push back:
 * output is fetched only when it is asked for, however much a small input would unpack to.
 */
const FORMATS = new Set(['deflate', 'deflate-raw', 'gzip']);
/** One call's bytes; more are cut, so that no call keeps the cell for long. */
const MAX_WRITE = 65_536;

/** Tells the cell of streams that nobody can reach any more. Made on first use: a snapshot can't hold one with entries. */
let registry: FinalizationRegistry<Codec> | undefined;

/** A stream in the cell; opened by the first call, so that constructing one costs nothing. */
class Codec {
  #opened: Promise<number> | undefined;
  #closed = false;

  constructor(private readonly settings: { format: string; decompress: boolean }) {}

  async call(operation: 'write' | 'read' | 'end', bytes?: Uint8Array): Promise<Uint8Array<ArrayBuffer> | undefined> {
    this.#opened ??= this.#send('open', this.settings).then(({ meta }) => Number((meta as { v: unknown }).v));
    const id = await this.#opened;
    const { bytes: output } = await this.#send(operation, { id }, bytes);
    return output as Uint8Array<ArrayBuffer> | undefined;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#opened?.then((id) => this.#send('close', { id })).catch(() => {});
  }

  async #send(operation: string, meta: object, bytes?: Uint8Array) {
    const reply = await webHost().call(`compression.${operation}`, meta, bytes);
    const { e } = (reply.meta ?? {}) as { e?: [string, string] };
    if (e) throw new TypeError(e[1]);
    return reply;
  }
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof ArrayBuffer) return new Uint8Array(chunk);
  if (ArrayBuffer.isView(chunk)) return new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw new TypeError('The chunk is not bytes.');
}

function makePair(format: unknown, decompress: boolean) {
  const name = `${format as string}`;
  if (!FORMATS.has(name))
    throw new TypeError(`The compression format ${JSON.stringify(name.slice(0, 40))} is not supported.`);
  const codec = new Codec({ format: name, decompress });
  let failReadable: (error: unknown) => void = () => {};
  let failWritable: (error: unknown) => void = () => {};
  const fail = (error: unknown): never => {
    codec.close();
    failReadable(error);
    failWritable(error);
    throw error;
  };
  const readable = new ReadableStream<Uint8Array<ArrayBuffer>>(
    {
      start: (controller) => {
        failReadable = (error) => controller.error(error);
      },
      async pull(controller) {
        const bytes = await codec.call('read').catch(fail);
        if (bytes) return controller.enqueue(bytes);
        codec.close();
        controller.close();
      },
      cancel(reason) {
        codec.close();
        failWritable(reason);
      },
    },
    { highWaterMark: 0 },
  );
  const writable = new WritableStream<unknown>({
    start: (controller) => {
      failWritable = (error) => controller.error(error);
    },
    async write(chunk) {
      try {
        const bytes = bytesOf(chunk).slice();
        for (let at = 0; at < bytes.length; at += MAX_WRITE) await codec.call('write', bytes.slice(at, at + MAX_WRITE));
      } catch (error) {
        fail(error);
      }
    },
    close: async () => {
      await codec.call('end').catch(fail);
    },
    abort(reason) {
      codec.close();
      failReadable(reason);
    },
  });
  registry ??= new FinalizationRegistry((abandoned) => abandoned.close());
  registry.register(readable, codec);
  return { readable, writable };
}

function codecClass(decompress: boolean) {
  return class {
    readonly #pair: ReturnType<typeof makePair>;
    constructor(format: string) {
      this.#pair = makePair(format, decompress);
    }
    get readable() {
      return this.#pair.readable;
    }
    get writable() {
      return this.#pair.writable;
    }
  };
}

defineClass('CompressionStream', codecClass(false));
defineClass('DecompressionStream', codecClass(true));
