import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFrames, FrameDecoder, roomFor } from './codec.js';
import type { Frame } from './frame.js';
import { BodyKind, MAX_BODY_BYTES } from './frame-type.js';

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const base = { type: fc.integer({ min: 0, max: 255 }), isolate: u32, id: u32, meta: fc.string({ unit: 'grapheme' }) };
const bytes = fc.uint8Array({ maxLength: 300 }).map((array) => Buffer.from(array));
const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ ...base, kind: fc.constant(BodyKind.NONE), body: fc.constant(undefined) }),
  fc.record({ ...base, kind: fc.constant(BodyKind.BYTES), body: bytes }),
  fc.record({ ...base, kind: fc.constant(BodyKind.TEXT), body: fc.string({ unit: 'grapheme', maxLength: 300 }) }),
);

/** As the other side gets it: text bodies as bytes. */
const received = ({ body, ...rest }: Frame) => ({
  ...rest,
  body: typeof body === 'string' ? Buffer.from(body) : body,
});

function encoded(frames: readonly Frame[]): Buffer {
  const out = Buffer.alloc(roomFor(frames));
  return out.subarray(0, encodeFrames(frames, out));
}

function* cut(data: Buffer, sizes: readonly number[]): Generator<Buffer> {
  for (let at = 0, n = 0; at < data.length; n++) {
    const size = sizes[n % sizes.length]!;
    yield data.subarray(at, at + size);
    at += size;
  }
}

describe('frames', () => {
  it('arrive as they were sent, wherever the stream is cut', () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 10 });
    fc.assert(
      fc.property(fc.array(frame, { minLength: 1, maxLength: 20 }), sizes, (frames, cuts) => {
        const decoder = new FrameDecoder();
        const arrived = [...cut(encoded(frames), cuts)].flatMap((chunk) => decoder.push(chunk));
        expect(arrived).toEqual(frames.map(received));
      }),
    );
  });

  it('of other makes are refused or ignored, and never more is waited for than a frame may have', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
        try {
          for (const { kind } of new FrameDecoder().push(Buffer.from(noise))) expect(kind).toBeLessThanOrEqual(2);
        } catch (error) {
          expect(error).toMatchObject({ code: 'PROTOCOL_ERROR' });
        }
      }),
    );
  });

  it('that claim impossible lengths are refused at once', () => {
    const claim = (length: number, metaLength = 0) => {
      const head = Buffer.alloc(20);
      head.writeUInt32LE(length, 0);
      head.writeUInt32LE(metaLength, 16);
      return () => new FrameDecoder().push(head);
    };
    expect(claim(MAX_BODY_BYTES * 2)).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }));
    expect(claim(0xffff_ffff)).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }));
    expect(claim(3)).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }));
    expect(claim(16, 1)).toThrow(expect.objectContaining({ code: 'PROTOCOL_ERROR' }));
    expect(claim(16)()).toHaveLength(1);
  });

  it('with a lone surrogate in their text still arrive', () => {
    const [arrived] = new FrameDecoder().push(
      encoded([{ type: 1, isolate: 1, id: 2, kind: BodyKind.TEXT, meta: '\ud800', body: 'a\udc00' }]),
    );
    expect(arrived).toMatchObject({ meta: '\ufffd', body: Buffer.from('a\ufffd') });
  });
});
