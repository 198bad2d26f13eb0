import type { GuestBatch } from '../engine/engine.js';
import type { Frame } from '../protocol/frame.js';
import { BodyKind } from '../protocol/frame-type.js';
import { MAX_PACKED, PACKED } from '../protocol/packed-bytes.js';

type GuestFrame = Pick<Frame, 'type' | 'id' | 'kind' | 'meta' | 'body'>;

/** Joining big bodies into one string costs more than another entry does. */
const MAX_BATCH_BYTES = 65_536;

/** Takes frames off the queue until the batch is full, at most so many. The queue must not be empty. */
export function takeBatch(queue: GuestFrame[], most = Number.POSITIVE_INFINITY): GuestBatch {
  const head: number[] = [];
  const buffers: ArrayBuffer[] = [];
  let text = '';
  let bytes = 0;
  let taken = 0;
  while (taken < Math.min(queue.length, most) && bytes < MAX_BATCH_BYTES) {
    const frame = queue[taken++]!;
    text += frame.meta;
    let kind: number = frame.kind;
    let size = 0;
    if (frame.kind === BodyKind.TEXT) {
      const body = typeof frame.body === 'string' ? frame.body : (frame.body as Buffer).toString('utf8');
      size = body.length;
      text += body;
    } else if (frame.kind === BodyKind.BYTES) {
      const body = frame.body as Buffer;
      if (body.length <= MAX_PACKED) {
        kind = PACKED;
        size = body.length;
        text += body.toString('latin1');
      } else size = buffers.push(copyOf(body)) - 1;
    }
    bytes += frame.meta.length + (frame.body?.length ?? 0);
    head.push(frame.type, frame.id, kind, frame.meta.length, size);
  }
  queue.splice(0, taken);
  return { head: head.join(','), text, buffers };
}

function copyOf(body: Buffer): ArrayBuffer {
  return body.buffer.slice(body.byteOffset, body.byteOffset + body.byteLength) as ArrayBuffer;
}

/** Unpacks what a guest posted. Everything in it is untrusted; returns undefined when it is malformed. */
export function unpackPost(head: unknown, text: unknown, buffers: readonly unknown[]): GuestFrame[] | undefined {
  if (typeof head !== 'string' || typeof text !== 'string') return undefined;
  const numbers = head.split(',');
  if (numbers.length % 5 !== 0) return undefined;
  const frames: GuestFrame[] = [];
  let at = 0;
  for (let index = 0; index < numbers.length; index += 5) {
    const type = toUint32(numbers[index]!);
    const id = toUint32(numbers[index + 1]!);
    const kind = toUint32(numbers[index + 2]!);
    const metaLength = toUint32(numbers[index + 3]!);
    const size = toUint32(numbers[index + 4]!);
    // One that is NaN makes the sum so.
    if (Number.isNaN(type + id + kind + metaLength + size)) return undefined;
    const meta = text.slice(at, at + metaLength);
    at += metaLength;
    let body: Buffer | string | undefined;
    if (kind === BodyKind.TEXT) {
      body = text.slice(at, at + size);
      at += size;
    } else if (kind === PACKED) {
      body = Buffer.from(text.slice(at, at + size), 'latin1');
      at += size;
    } else if (kind === BodyKind.BYTES) {
      const buffer = buffers[size];
      if (!(buffer instanceof ArrayBuffer)) return undefined;
      body = Buffer.from(buffer);
    } else if (kind !== BodyKind.NONE) return undefined;
    frames.push({ type, id, kind: kind === PACKED ? BodyKind.BYTES : kind, meta, body });
  }
  return at === text.length ? frames : undefined;
}

/** NaN for anything else. */
function toUint32(text: string): number {
  const value = Number(text);
  return value >>> 0 === value ? value : Number.NaN;
}
