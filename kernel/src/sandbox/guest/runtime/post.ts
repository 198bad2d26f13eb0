import { AtollError } from '@atoll/plugin-sdk/contract';
import { BodyKind, FrameType, MAX_BODY_BYTES, MAX_META_BYTES } from '../../protocol/frame-type.js';
import { MAX_PACKED, PACKED, pack } from '../../protocol/packed-bytes.js';

/** `head` is a list of `type,id,kind,meta length,body length or buffer index`; `text` all metas and text bodies in that order. */
export type Post = (head: string, text: string, ...buffers: ArrayBuffer[]) => void;

/** After this much in one run, posts wait until the cell has taken them. Characters and bytes, roughly. */
const BRAKE_AFTER = 1_000_000;
/** What a frame counts for itself, however little it holds: taking it costs the cell time. */
const FRAME_COST = 200;
/** Entries of the head that make one frame. */
const HEAD_LENGTH = 5;

/** Collects frames and posts them once per drain of the microtask queue. */
export class Outbox {
  #head: number[] = [];
  #text = '';
  #buffers: ArrayBuffer[] = [];
  #scheduled = false;
  #sent = 0;
  #sync = false;
  #post: Post | undefined;
  #postSync: Post | undefined;

  connect(post: Post, postSync: Post): void {
    this.#post = post;
    this.#postSync = postSync;
  }

  /** A new entry from the host: the budget starts anew. `sync` is one in the cell's own thread, which takes posts at once. */
  beginRun(sync: boolean): void {
    this.#sent = 0;
    this.#sync = sync;
  }

  /** Throws for what is too large; the cell would end the plugin for it. */
  push(type: number, id: number, meta: string, body?: string | Uint8Array): void {
    if (type < FrameType.TIMER_SET) assertFits(meta, body);
    let kind: number = BodyKind.NONE;
    let size = 0;
    this.#text += meta;
    if (typeof body === 'string') {
      kind = BodyKind.TEXT;
      size = body.length;
      this.#text += body;
    } else if (body !== undefined && body.length <= MAX_PACKED) {
      kind = PACKED;
      size = body.length;
      this.#text += pack(body);
    } else if (body !== undefined) {
      kind = BodyKind.BYTES;
      size = this.#buffers.push(ownBuffer(body)) - 1;
      this.#sent += body.byteLength;
    }
    this.#head.push(type, id, kind, meta.length, size);
    if (this.#text.length > BRAKE_AFTER) this.flush();
    else this.#schedule();
  }

  flush(): void {
    if (this.#head.length === 0) return;
    const frames = this.#head.length / HEAD_LENGTH;
    const head = this.#head.join(',');
    const text = this.#text;
    const buffers = this.#buffers;
    this.#head = [];
    this.#text = '';
    this.#buffers = [];
    this.#sent += text.length + frames * FRAME_COST;
    const post = this.#sync || this.#sent > BRAKE_AFTER ? this.#postSync : this.#post;
    post?.(head, text, ...buffers);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    // Two turns late, so that frames of neighbouring microtasks travel together.
    void resolved.then(nothing).then(() => {
      this.#scheduled = false;
      this.flush();
    });
  }
}

function assertFits(meta: string, body: string | Uint8Array | undefined): void {
  if (exceeds(meta, MAX_META_BYTES))
    throw new AtollError('PLUGIN_BAD_RESPONSE', `More than ${MAX_META_BYTES} bytes of headers.`);
  if (body !== undefined && exceeds(body, MAX_BODY_BYTES)) throw tooLarge();
}

const tooLarge = (): AtollError =>
  new AtollError('PLUGIN_BAD_RESPONSE', `The plugin sent more than ${MAX_BODY_BYTES} bytes in one piece; stream it.`);

function exceeds(value: string | Uint8Array, limit: number): boolean {
  // A character takes up to three bytes.
  if (typeof value !== 'string' || value.length * 3 <= limit)
    return typeof value !== 'string' && value.byteLength > limit;
  let bytes = value.length;
  for (let at = 0; at < value.length && bytes <= limit; at++) {
    const code = value.charCodeAt(at);
    // Each half of a surrogate pair counts two.
    if (code > 0x7f) bytes += code < 0x800 || (code >= 0xd800 && code < 0xe000) ? 1 : 2;
  }
  return bytes > limit;
}

const resolved = Promise.resolve();
const nothing = () => {};

/** The bytes as a buffer of exactly their size, because whole buffers cross. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes as Uint8Array<ArrayBuffer & { resizable: boolean }>;
  if (byteOffset === 0 && byteLength === buffer.byteLength && !buffer.resizable) return buffer;
  return bytes.slice().buffer as ArrayBuffer;
}

export const outbox = new Outbox();
