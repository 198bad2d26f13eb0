/** Shorter ones would turn up in ordinary text. */
const SHORTEST = 8;

/**
 * Blackens secrets in what a server sends back, for some servers echo requests. A match becomes as many asterisks, so lengths stay
 * true. Only the plain and the JSON form are found: a server that encodes a secret in another way is not covered.
 */
export class Scrubber {
  readonly #texts: string[];
  readonly #needles: Buffer[];
  #held: Buffer = Buffer.alloc(0);

  constructor(secrets: Iterable<string>) {
    const forms = [...secrets].flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1)]);
    this.#texts = [...new Set(forms)].filter((text) => text.length >= SHORTEST).sort((a, b) => b.length - a.length);
    this.#needles = this.#texts.map((text) => Buffer.from(text));
  }

  get idle(): boolean {
    return this.#needles.length === 0;
  }

  text(value: string): string {
    return this.#texts.reduce((done, text) => done.replaceAll(text, '*'.repeat(text.length)), value);
  }

  /** What can be passed on after this chunk; the beginning of a possible match is held back. */
  push(chunk: Buffer): Buffer {
    if (this.idle) return chunk;
    const data = this.#blacken(this.#held.length > 0 ? Buffer.concat([this.#held, chunk]) : chunk);
    const keep = data.length - this.#openEnd(data);
    this.#held = data.subarray(keep);
    return data.subarray(0, keep);
  }

  /** What was held back, at the end. */
  flush(): Buffer {
    const rest = this.#held;
    this.#held = Buffer.alloc(0);
    return rest;
  }

  #blacken(data: Buffer): Buffer {
    let out = data;
    for (const needle of this.#needles) {
      for (let at = out.indexOf(needle); at !== -1; at = out.indexOf(needle, at + needle.length)) {
        if (out === data) out = Buffer.from(data);
        out.fill('*', at, at + needle.length);
      }
    }
    return out;
  }

  /** Length of the longest end of the data that begins a needle. */
  #openEnd(data: Buffer): number {
    let longest = 0;
    for (const needle of this.#needles) {
      for (let length = Math.min(needle.length - 1, data.length); length > longest; length--) {
        if (data.subarray(data.length - length).equals(needle.subarray(0, length))) longest = length;
      }
    }
    return longest;
  }
}
