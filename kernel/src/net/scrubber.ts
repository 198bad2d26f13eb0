/** Shorter ones would turn up in ordinary text. */
const SHORTEST = 8;

/**
 * Blackens secrets in what a server sends back, for some servers echo requests. A match becomes as many asterisks, so lengths stay
 * true. Found are the plain form, and those in JSON, in URLs and in base64: a server that encodes a secret in another way is not covered.
 */
export class Scrubber {
  readonly #texts: string[];
  readonly #needles: Buffer[];
  #held: Buffer = Buffer.alloc(0);

  constructor(secrets: Iterable<string>) {
    const forms = [...secrets].flatMap(formsOf);
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
        if (
          data[data.length - length] === needle[0] &&
          data.subarray(data.length - length).equals(needle.subarray(0, length))
        )
          longest = length;
      }
    }
    return longest;
  }
}

function formsOf(secret: string): string[] {
  const json = JSON.stringify(secret).slice(1, -1);
  // Errors often quote the body of another server.
  const twice = JSON.stringify(json).slice(1, -1);
  return [secret, json, twice, encodeURIComponent(secret.toWellFormed()), ...inBase64(secret)];
}

/** Whatever stands before it: the characters that depend on the secret alone, for each of the three ways it can begin. */
function inBase64(secret: string): string[] {
  const bytes = Buffer.from(secret);
  return [0, 1, 2].flatMap((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes])
      .toString('base64')
      .replace(/=+$/, '');
    const bits = (before + bytes.length) * 8;
    const own = text.slice(Math.ceil((before * 8) / 6), Math.floor(bits / 6));
    return [own, own.replaceAll('+', '-').replaceAll('/', '_')];
  });
}
