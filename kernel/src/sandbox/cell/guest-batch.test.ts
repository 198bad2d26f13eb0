import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeDeliver } from '../guest/runtime/deliver.js';
import { BodyKind, FrameType } from '../protocol/frame-type.js';
import { MAX_PACKED, PACKED, pack } from '../protocol/packed-bytes.js';
import { takeBatch, unpackPost } from './guest-batch.js';

const LOCAL = FrameType.LOCAL_RESULT;
const text = fc.string({ unit: 'grapheme', maxLength: 50 });
/** On both sides of what crosses as text. */
const bytes = fc
  .oneof(fc.uint8Array(), fc.uint8Array({ minLength: MAX_PACKED - 2, maxLength: MAX_PACKED + 2 }))
  .map((value) => Buffer.from(value));
const local = fc.oneof(
  fc.record({ meta: text, kind: fc.constant(BodyKind.NONE), body: fc.constant(undefined) }),
  fc.record({ meta: text, kind: fc.constant(BodyKind.TEXT), body: text }),
  fc.record({ meta: text, kind: fc.constant(BodyKind.BYTES), body: bytes }),
);

describe('a batch', () => {
  it('reaches the guest frame by frame, in order and whole', () => {
    fc.assert(
      fc.property(fc.array(local, { minLength: 1, maxLength: 20 }), (frames) => {
        const got: unknown[] = [];
        const deliver = makeDeliver((_, id, meta, body) => got.push({ id, meta, body }));
        const queue = frames.map((frame, id) => ({ ...frame, type: LOCAL, id }));
        while (queue.length > 0) {
          const { head, text: all, buffers } = takeBatch(queue);
          deliver(false, head, all, ...buffers);
        }
        const sent = frames.map(({ meta, body }, id) => {
          return { id, meta, body: body instanceof Buffer ? new Uint8Array(body) : body };
        });
        expect(got).toEqual(sent);
      }),
    );
  });

  it('is cut when it gets large', () => {
    const frame = { type: LOCAL, id: 2, kind: BodyKind.TEXT, meta: '', body: 'x'.repeat(40_000) };
    const queue = [frame, frame, frame];
    expect(takeBatch(queue).text).toHaveLength(80_000);
    expect(queue).toHaveLength(1);
  });
});

describe('what a guest posts', () => {
  const frames = fc.array(local, { minLength: 1, maxLength: 10 });

  it('is unpacked as it was packed', () => {
    fc.assert(
      fc.property(frames, (list) => {
        const head: number[] = [];
        const buffers: ArrayBuffer[] = [];
        let all = '';
        for (const { meta, kind, body } of list) {
          const packed = body instanceof Buffer && body.length <= MAX_PACKED;
          const inText = packed ? pack(body) : typeof body === 'string' ? body : '';
          all += meta + inText;
          const inBuffer = body instanceof Buffer && !packed;
          const size = inBuffer ? buffers.push(new Uint8Array(body).buffer) - 1 : inText.length;
          head.push(1, 3, packed ? PACKED : kind, meta.length, size);
        }
        const sent = list.map(({ meta, kind, body }) => ({ type: 1, id: 3, kind, meta, body }));
        expect(unpackPost(head.join(','), all, buffers)).toEqual(sent);
      }),
    );
  });

  it('may be anything', () => {
    const junk = fc.oneof(fc.anything(), fc.string(), fc.array(fc.integer({ min: -2, max: 70_000 })).map(String));
    fc.assert(
      fc.property(junk, junk, fc.array(fc.anything()), (head, all, buffers) => {
        for (const frame of unpackPost(head, all, buffers) ?? []) expect(frame.kind).toBeLessThanOrEqual(2);
      }),
    );
    expect(unpackPost('1,3,1,0,5', 'abc', [])).toBeUndefined();
    expect(unpackPost(`1,3,${PACKED},0,5`, 'abc', [])).toBeUndefined();
    expect(unpackPost('1,3,2,0,0', '', [new Uint8Array(1)])).toBeUndefined();
    expect(unpackPost('1,3,0,0', '', [])).toBeUndefined();
    expect(unpackPost('1,3,0,0,0', 'more', [])).toBeUndefined();
  });
});
