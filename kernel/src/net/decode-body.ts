import { pipeline, type Readable, Transform } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw } from 'node:zlib';

/** More layers than anyone sends in good faith. */
const MAX_LAYERS = 3;

/** The body decompressed, or undefined when it is not compressed or in an unknown way. */
export function decodeBody(body: Readable, contentEncoding: string | undefined): Readable | undefined {
  const layers = (contentEncoding ?? '')
    .toLowerCase()
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '' && part !== 'identity');
  if (layers.length === 0 || layers.length > MAX_LAYERS) return undefined;
  const decoders = layers.reverse().map(decoderOf);
  if (decoders.includes(undefined)) return undefined;
  // A pipeline, so that giving up the decoded stream closes the connection, too. Errors show up in what is read.
  return pipeline([body, ...(decoders as Transform[])], () => {}) as unknown as Readable;
}

function decoderOf(encoding: string): Transform | undefined {
  // Browsers accept bodies that are cut off at a flush; so do we.
  const flushes = { flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH };
  if (encoding === 'gzip' || encoding === 'x-gzip') return createGunzip(flushes);
  if (encoding === 'deflate') return new Deflated();
  const brotli = { flush: constants.BROTLI_OPERATION_FLUSH, finishFlush: constants.BROTLI_OPERATION_FLUSH };
  return encoding === 'br' ? createBrotliDecompress(brotli) : undefined;
}

/** `deflate` is zlib's format by the standard, and raw deflate from some servers; the first byte tells. */
class Deflated extends Transform {
  #inner: Transform | undefined;

  override _transform(chunk: Buffer, _: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#inner ??= this.#start(chunk);
    // The inner stream calls back when it has taken the chunk, so its back-pressure is ours.
    this.#inner.write(chunk, (error) => done(error));
  }

  override _flush(done: (error?: Error | null) => void): void {
    if (!this.#inner) return done();
    this.#inner.once('end', () => done()).once('error', done);
    this.#inner.end();
  }

  override _read(size: number): void {
    this.#inner?.resume();
    super._read(size);
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#inner?.destroy();
    done(error);
  }

  #start(first: Buffer): Transform {
    const zlib = first.length > 0 && (first[0]! & 0x0f) === 8;
    const inner = zlib ? createInflate() : createInflateRaw();
    inner.on('error', (error) => this.destroy(error));
    inner.on('data', (data: Buffer) => {
      if (!this.push(data)) inner.pause();
    });
    return inner;
  }
}
