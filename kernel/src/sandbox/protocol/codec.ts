import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Frame } from './frame.js';
import { BodyKind, type BodyKindValue, MAX_BODY_BYTES, MAX_META_BYTES } from './frame-type.js';

/*
 * Wire layout, little-endian, lengths in bytes:
 *   u32 length of what follows | u8 type | u8 body kind | u16 0 | u32 isolate | u32 id | u32 meta length | meta | body
 */
const HEADER = 20;
const LENGTH = 4;

/** Whether the other side's decoder takes the frame. A frame that it does not take ends the connection. */
export function fitsWire({ meta, body }: Pick<Frame, 'meta' | 'body'>): boolean {
  return !exceeds(meta, MAX_META_BYTES) && !exceeds(body, MAX_BODY_BYTES);
}

function exceeds(value: Buffer | string | undefined, limit: number): boolean {
  if (upperBound(value) <= limit) return false;
  return (typeof value === 'string' ? Buffer.byteLength(value) : value!.length) > limit;
}

/** Bytes that the frames take at most. */
export function roomFor(frames: readonly Frame[]): number {
  let total = 0;
  for (const { meta, body } of frames) total += HEADER + upperBound(meta) + upperBound(body);
  return total;
}

/** Writes the frames into one buffer as large as `roomFor` says, so that a tick's frames cost one write. Returns how many bytes it wrote. */
export function encodeFrames(frames: readonly Frame[], out: Buffer): number {
  let at = 0;
  for (const frame of frames) at = encodeInto(out, at, frame);
  return at;
}

/** Bytes that the text can take at most: cheaper than measuring it before writing. */
function upperBound(value: Buffer | string | undefined): number {
  if (value === undefined) return 0;
  return typeof value === 'string' ? value.length * 3 : value.length;
}

function encodeInto(out: Buffer, start: number, frame: Frame): number {
  let at = start + HEADER;
  const metaLength = frame.meta === '' ? 0 : out.write(frame.meta, at);
  at += metaLength;
  if (typeof frame.body === 'string') at += out.write(frame.body, at);
  else if (frame.body !== undefined) at += frame.body.copy(out, at);
  out.writeUInt32LE(at - start - 4, start);
  out[start + 4] = frame.type;
  out[start + 5] = frame.kind;
  out.writeUInt16LE(0, start + 6);
  out.writeUInt32LE(frame.isolate, start + 8);
  out.writeUInt32LE(frame.id, start + 12);
  out.writeUInt32LE(metaLength, start + 16);
  return at;
}

/** Cuts a byte stream into frames. Throws PROTOCOL_ERROR on anything malformed; the stream is then of no further use. */
export class FrameDecoder {
  /** Pieces of a frame that is not complete yet. */
  #begun: Buffer[] = [];
  #size = 0;
  /** Bytes that it takes: only its length field, as long as that is not there. */
  #wanted = LENGTH;

  push(chunk: Buffer): Frame[] {
    const frames: Frame[] = [];
    let at = this.#complete(chunk, frames);
    for (let end = endOf(chunk, at); end <= chunk.length; end = endOf(chunk, at)) {
      frames.push(decodeFrame(chunk, at, end));
      at = end;
    }
    this.#keep(chunk.subarray(at));
    return frames;
  }

  /** Gives the frame that was begun what it lacks, and no more: joining whole chunks would copy every byte once again. */
  #complete(chunk: Buffer, frames: Frame[]): number {
    let at = 0;
    while (this.#size > 0) {
      const missing = Math.max(0, this.#wanted - this.#size);
      this.#keep(chunk.subarray(at, at + missing));
      if (missing > chunk.length - at) return chunk.length;
      at += missing;
      if (this.#wanted === LENGTH) {
        this.#wanted = endOf(this.#joined(LENGTH), 0);
        continue;
      }
      const bytes = this.#joined(this.#size);
      frames.push(decodeFrame(bytes, 0, bytes.length));
      this.#begun = [];
      this.#size = 0;
      this.#wanted = LENGTH;
    }
    return at;
  }

  /** At least so many bytes of what there is, in one piece. */
  #joined(size: number): Buffer {
    const [first] = this.#begun as [Buffer];
    return first.length >= size ? first : Buffer.concat(this.#begun, this.#size);
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#begun.push(bytes);
    this.#size += bytes.length;
  }
}

/** Where the frame that begins here ends; infinity as long as its length is not there. */
function endOf(bytes: Buffer, at: number): number {
  return bytes.length - at < LENGTH ? Number.POSITIVE_INFINITY : at + LENGTH + frameLength(bytes, at);
}

function frameLength(bytes: Buffer, at: number): number {
  const length = bytes.readUInt32LE(at);
  if (length < HEADER - 4 || length > HEADER + MAX_META_BYTES + MAX_BODY_BYTES) {
    throw new AtollError('PROTOCOL_ERROR', `A frame claims ${length} bytes.`);
  }
  return length;
}

function decodeFrame(bytes: Buffer, at: number, end: number): Frame {
  const metaLength = bytes.readUInt32LE(at + 16);
  const bodyAt = at + HEADER + metaLength;
  const kind = bytes[at + 5]!;
  if (bodyAt > end || kind > BodyKind.BYTES) throw new AtollError('PROTOCOL_ERROR', 'A frame has wrong lengths.');
  return {
    type: bytes[at + 4]!,
    isolate: bytes.readUInt32LE(at + 8),
    id: bytes.readUInt32LE(at + 12),
    kind: kind as BodyKindValue,
    meta: metaLength === 0 ? '' : bytes.toString('utf8', at + HEADER, bodyAt),
    body: kind === BodyKind.NONE ? undefined : bytes.subarray(bodyAt, end),
  };
}
