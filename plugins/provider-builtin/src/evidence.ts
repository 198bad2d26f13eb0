import { stem, wordsOf } from './words.js';

/** Values that stand in a text, each handed out once: what arguments and JSON fields are filled from. */
export class Evidence {
  readonly #text: string;
  readonly #used = new Set<number>();

  constructor(
    text: string,
    /** What a free text field gets, such as the extracted answer. */
    readonly answer: string = text,
  ) {
    this.#text = text;
  }

  /** A number near the field's name, else the first one not yet used. */
  number(name: string): number | undefined {
    const found = this.#named(name, '-?\\d+(?:\\.\\d+)?') ?? this.#first(/-?\d+(?:\.\d+)?/g);
    return found === undefined ? undefined : Number(found);
  }

  /** Which of the options stands in the text: the longest first, so that "dark blue" wins over "blue". */
  option(options: readonly unknown[]): unknown {
    const text = ` ${wordsOf(this.#text).join(' ')} `;
    const written = options.filter((option) => {
      const words = wordsOf(String(option)).join(' ');
      return words !== '' && text.includes(` ${words} `);
    });
    return written.sort((a, b) => String(b).length - String(a).length)[0];
  }

  /** Whether the text says yes or no to the field's name; undefined when it does not mention it. */
  flag(name: string): boolean | undefined {
    const words = nameWords(name);
    if (words.length === 0 || !words.every((word) => this.#stems().includes(word))) return undefined;
    const negated = new RegExp(`\\b(?:no|not|without|never|don't|dont)\\W+(?:\\w+\\W+){0,2}${words[0]}`, 'i');
    return !negated.test(this.#text);
  }

  /** A piece of text for the field: what follows its name, else a quotation, a name, or what follows a preposition. */
  text(name: string): string | undefined {
    return (
      this.#named(name, '"[^"\\n]+"|[\\p{L}\\p{N}@._/-]+(?: \\p{Lu}[\\p{L}\\p{N}]+)*') ??
      this.#first(/"([^"\n]+)"|“([^”\n]+)”|`([^`\n]+)`/gu) ??
      this.#first(/(?<![.!?]\s+|^)\b(\p{Lu}[\p{L}\p{N}'’-]*(?:\s+\p{Lu}[\p{L}\p{N}'’-]*)*)/gu) ??
      this.#first(/\b(?:in|for|to|at|from|about|on|of|named|called)\s+((?:\p{Ll}[\p{L}\p{N}-]*\s*){1,4})/gu)
    );
  }

  /** The first piece of the text that a pattern matches. */
  match(pattern: RegExp): string | undefined {
    return pattern.exec(this.#text)?.[0];
  }

  /** Listed values: parts of the text between commas and "and". */
  list(): string[] {
    const tail = this.#text.includes(':') ? this.#text.slice(this.#text.lastIndexOf(':') + 1) : this.#text;
    const parts = tail.split(/\s*,\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+/);
    return parts.length < 2 ? [] : parts.map((part) => part.replace(/[.!?"]+$/, '').trim()).filter(Boolean);
  }

  #stems(): string[] {
    return wordsOf(this.#text).map(stem);
  }

  /** `city: Paris`, `city = Paris`, `city is Paris`; plain `city Paris` as well. */
  #named(name: string, value: string): string | undefined {
    const words = nameWords(name);
    if (words.length === 0) return undefined;
    const label = words.map((word) => `${word}\\w*`).join('[\\s_-]*');
    const pattern = new RegExp(`\\b${label}\\s*(?::|=|\\bis\\b|\\bof\\b)\\s*(${value})`, 'giu');
    return this.#first(pattern);
  }

  #first(pattern: RegExp): string | undefined {
    for (const match of this.#text.matchAll(pattern)) {
      const value = match.slice(1).find((group) => group !== undefined) ?? match[0];
      const at = match.index + match[0].lastIndexOf(value);
      if (this.#used.has(at)) continue;
      this.#used.add(at);
      const clean = value.replace(/^["“`]|["”`]$/g, '').trim();
      if (clean !== '') return clean;
    }
    return undefined;
  }
}

/** `maxResults` and `max_results` → max, result. Only letters and digits, so they can stand in a pattern. */
function nameWords(name: string): string[] {
  return wordsOf(name.replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2').replaceAll('_', ' ')).map(stem);
}
