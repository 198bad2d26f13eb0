import type { RecordedCall } from './recorded-call.js';

interface Kept {
  call: RecordedCall;
  bytes: number;
}

/** The latest calls, at most so many and at most so many bytes of them, as JSON. */
export class CallRing {
  #kept: Kept[] = [];
  #bytes = 0;

  constructor(private readonly limits: { keep: number; maxBytes: number }) {}

  get size(): number {
    return this.#kept.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The oldest ones make room. */
  add(call: RecordedCall, bytes = Buffer.byteLength(JSON.stringify(call))): void {
    if (bytes > this.limits.maxBytes) return;
    this.#kept.push({ call, bytes });
    this.#bytes += bytes;
    while (this.#kept.length > this.limits.keep || this.#bytes > this.limits.maxBytes)
      this.#bytes -= this.#kept.shift()!.bytes;
  }

  /** Oldest first, in the order in which they began. */
  calls(): RecordedCall[] {
    return this.#kept.map(({ call }) => call).toSorted((a, b) => a.at - b.at);
  }
}
