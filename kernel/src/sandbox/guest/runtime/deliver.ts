import { BodyKind, FrameType } from '../../protocol/frame-type.js';
import { PACKED, unpack } from '../../protocol/packed-bytes.js';
import * as inbound from './inbound.js';
import { outbox } from './post.js';
import * as outbound from './outbound.js';
import type { Chunk } from './streams.js';

/** Takes frames that belong to the cell itself: timers and local operations. */
export type LocalFrame = (type: number, id: number, meta: string, body: Chunk | undefined) => void;

/** The entry point that the cell calls, in the guest's own thread or (`sync`) in the cell's: unpacks the frames and hands each to its owner. */
export function makeDeliver(onLocal: LocalFrame) {
  return function deliver(sync: boolean, head: string, text: string, ...buffers: ArrayBuffer[]): void {
    outbox.beginRun(sync);
    const numbers = head.split(',');
    let at = 0;
    for (let index = 0; index + 4 < numbers.length; index += 5) {
      const type = Number(numbers[index]);
      const id = Number(numbers[index + 1]);
      const kind = Number(numbers[index + 2]);
      const metaEnd = at + Number(numbers[index + 3]);
      const size = Number(numbers[index + 4]);
      const meta = text.slice(at, metaEnd);
      at = metaEnd;
      let body: Chunk | undefined;
      if (kind === BodyKind.BYTES) body = new Uint8Array(buffers[size]!);
      else if (kind !== BodyKind.NONE) {
        body = text.slice(at, at + size);
        at += size;
        if (kind === PACKED) body = unpack(body);
      }
      try {
        dispatch(type, id, meta, body, onLocal);
      } catch (error) {
        // One bad frame must not swallow the ones behind it.
        reportError(error);
      }
    }
  };
}

function dispatch(type: number, id: number, meta: string, body: Chunk | undefined, onLocal: LocalFrame): void {
  const ours = id % 2 === 1;
  switch (type) {
    case FrameType.CALL:
      return inbound.onCall(id, meta, body);
    case FrameType.RESULT:
      return outbound.onResult(id, meta, body);
    case FrameType.ERROR:
      return outbound.onError(id, meta);
    case FrameType.OPEN:
      return outbound.onOpen(id, meta);
    case FrameType.CHUNK:
      return (ours ? outbound : inbound).onChunk(id, body ?? '');
    case FrameType.END:
      return (ours ? outbound : inbound).onEnd(id, meta);
    case FrameType.CREDIT:
      return (ours ? outbound : inbound).onCredit(id, (JSON.parse(meta) as { n: number }).n);
    case FrameType.CANCEL:
      return (ours ? outbound : inbound).onCancel(id);
    default:
      return onLocal(type, id, meta, body);
  }
}
