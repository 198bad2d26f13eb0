const SMALLEST = 65_536;
const LARGEST = 1_048_576;
/** One to fill while the other is on its way. */
const KEPT = 2;

/**
 * Memory for what is sent, to be used again: at ten thousand messages a second, buffers that are only dropped keep the garbage
 * collector at work, and large ones come as fresh pages from the system each time.
 */
export class SendBuffers {
  readonly #free: Buffer[] = [];

  /** At least so many bytes, of any content; to be handed back with `give`. */
  take(size: number): Buffer {
    const at = this.#free.findIndex(({ length }) => length >= size);
    if (at >= 0) return this.#free.splice(at, 1)[0]!;
    return Buffer.allocUnsafeSlow(size > LARGEST ? size : powerOfTwo(Math.max(size, SMALLEST)));
  }

  give(buffer: Buffer): void {
    if (buffer.length > LARGEST) return;
    this.#free.push(buffer);
    if (this.#free.length <= KEPT) return;
    // The large ones do for everything.
    this.#free.sort((a, b) => b.length - a.length).pop();
  }
}

const powerOfTwo = (size: number): number => 2 ** Math.ceil(Math.log2(size));
