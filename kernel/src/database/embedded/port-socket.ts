import { Duplex } from 'node:stream';
import { MessageChannel, type MessagePort } from 'node:worker_threads';

/** What the PostgreSQL driver takes for a TCP socket: bytes over a port to the thread that has the database. */
export class PortSocket extends Duplex {
  #port: MessagePort | undefined;

  /** `attach` hands the other end to the database's thread, or throws when there is none. */
  constructor(private readonly attach: (port: MessagePort) => void) {
    super();
  }

  connect(): this {
    const { port1, port2 } = new MessageChannel();
    try {
      this.attach(port2);
    } catch (error) {
      process.nextTick(() => this.destroy(error as Error));
      return this;
    }
    this.#port = port1;
    port1.on('message', (bytes: Uint8Array) =>
      this.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
    );
    port1.on('close', () => this.#onClose());
    process.nextTick(() => this.emit('connect'));
    return this;
  }

  #onClose(): void {
    this.#port = undefined;
    if (this.destroyed) return;
    this.push(null);
    this.destroy();
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    if (!this.#port) return done(new Error('The database connection is closed.'));
    // A copy of its own, because the driver's buffers are parts of larger ones.
    const bytes = new Uint8Array(chunk);
    this.#port.postMessage(bytes, [bytes.buffer]);
    done();
  }

  /** What the driver writes together crosses together. */
  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'utf8', done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#port?.close();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#port?.close();
    this.#port = undefined;
    done(error);
  }

  setNoDelay(): this {
    return this;
  }

  setKeepAlive(): this {
    return this;
  }

  ref(): this {
    this.#port?.ref();
    return this;
  }

  unref(): this {
    this.#port?.unref();
    return this;
  }
}
