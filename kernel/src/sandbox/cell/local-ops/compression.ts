import { CompressionStream, DecompressionStream } from 'node:stream/web';

/** Each one holds up to 300 KB of zlib's memory. */
const MAX_STREAMS = 64;
const MAX_WRITE = 65_536;
const FORMATS = new Set(['deflate', 'deflate-raw', 'gzip']);

interface Reply {
  meta: unknown;
  bytes?: Uint8Array;
}

interface Codec {
  writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  reader: ReadableStreamDefaultReader<Uint8Array>;
  /** A guest that starts the same thing twice would have its chunks pile up here. */
  busy: Set<string>;
}

/**
 * Compression of one guest. zlib works only as far ahead as its own small buffers reach, and the guest asks for every piece of
 * output: a bomb unpacks no faster than its guest takes it, into the guest's memory.
 */
export class GuestCompression {
  readonly #codecs = new Map<number, Codec>();
  #nextId = 1;

  async call(operation: string, meta: unknown, bytes?: Buffer): Promise<Reply> {
    try {
      if (operation === 'open') return { meta: { v: this.#open(meta) } };
      return await this.#use(operation, meta, bytes);
    } catch (error) {
      return { meta: { e: ['TypeError', error instanceof Refusal ? error.message : 'The data is not valid.'] } };
    }
  }

  dispose(): void {
    for (const id of this.#codecs.keys()) this.#close(id);
  }

  #open(meta: unknown): number {
    const { format, decompress } = (meta ?? {}) as { format?: unknown; decompress?: unknown };
    if (typeof format !== 'string' || !FORMATS.has(format)) throw new Refusal('There is no such format.');
    if (this.#codecs.size >= MAX_STREAMS) throw new Refusal(`More than ${MAX_STREAMS} compression streams are open.`);
    const Stream = decompress === true ? DecompressionStream : CompressionStream;
    const { readable, writable } = new Stream(format as 'gzip');
    const id = this.#nextId++;
    const writer = writable.getWriter() as Codec['writer'];
    const reader = readable.getReader() as Codec['reader'];
    // Failures are told to whoever reads or writes; nobody else waits for these.
    writer.closed.catch(() => {});
    reader.closed.catch(() => {});
    this.#codecs.set(id, { writer, reader, busy: new Set() });
    return id;
  }

  async #use(operation: string, meta: unknown, bytes: Buffer | undefined): Promise<Reply> {
    const id = Number((meta as { id?: unknown } | null)?.id);
    if (operation === 'close') {
      this.#close(id);
      return { meta: {} };
    }
    const codec = this.#codecs.get(id);
    if (!codec) throw new Refusal('The stream is closed.');
    const side = operation === 'read' ? 'read' : 'write';
    if (codec.busy.has(side)) throw new Refusal('The stream is busy.');
    codec.busy.add(side);
    try {
      if (operation === 'read') return await this.#read(id, codec);
      if (operation === 'write') await codec.writer.write(checked(bytes));
      else if (operation === 'end') await codec.writer.close();
      else throw new Refusal('There is no such operation.');
      return { meta: {} };
    } finally {
      codec.busy.delete(side);
    }
  }

  async #read(id: number, { reader }: Codec): Promise<Reply> {
    const { done, value } = await reader.read();
    if (!done) return { meta: {}, bytes: value };
    this.#codecs.delete(id);
    return { meta: {} };
  }

  #close(id: number): void {
    const codec = this.#codecs.get(id);
    this.#codecs.delete(id);
    codec?.writer.abort().catch(() => {});
    codec?.reader.cancel().catch(() => {});
  }
}

class Refusal extends Error {}

function checked(bytes: Buffer | undefined): Uint8Array<ArrayBuffer> {
  if (bytes && bytes.length > MAX_WRITE) throw new Refusal('The chunk is too large.');
  return new Uint8Array(bytes ?? []);
}
