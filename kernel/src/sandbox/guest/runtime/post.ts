import { BodyKind, type BodyKindValue } from '../../protocol/frame-type.js';

/** `head` is a list of `type,id,kind,meta length,body length or buffer index`; `text` all metas and text bodies in that order. */
export type Post = (head: string, text: string, ...buffers: ArrayBuffer[]) => void;

/** After this much in one run, posts wait until the cell has taken them. Characters and bytes, roughly. */
const BRAKE_AFTER = 1_000_000;

/** Collects frames and posts them once per drain of the microtask queue. */
export class Outbox {
  #head: number[] = [];
  #text = '';
  #buffers: ArrayBuffer[] = [];
  #scheduled = false;
  #sent = 0;
  #post: Post | undefined;
  #postSlow: Post | undefined;

  connect(post: Post, postSlow: Post): void {
    this.#post = post;
    this.#postSlow = postSlow;
  }

  /** A new entry from the host: the budget starts anew. */
  beginRun(): void {
    this.#sent = 0;
  }

  push(type: number, id: number, meta: string, body?: string | Uint8Array): void {
    let kind: BodyKindValue = BodyKind.NONE;
    let size = 0;
    this.#text += meta;
    if (typeof body === 'string') {
      kind = BodyKind.TEXT;
      size = body.length;
      this.#text += body;
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
    const head = this.#head.join(',');
    const text = this.#text;
    const buffers = this.#buffers;
    this.#head = [];
    this.#text = '';
    this.#buffers = [];
    this.#sent += text.length;
    const post = this.#sent > BRAKE_AFTER ? this.#postSlow : this.#post;
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

const resolved = Promise.resolve();
const nothing = () => {};

/** The bytes as a buffer of exactly their size, because whole buffers cross. */
function ownBuffer(bytes: Uint8Array): ArrayBuffer {
  if (bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength) return bytes.buffer as ArrayBuffer;
  return bytes.slice().buffer as ArrayBuffer;
}

export const outbox = new Outbox();
