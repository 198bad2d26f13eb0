import { Effort } from './effort.js';
import type { Pattern } from './pattern.js';
import { stem, wordsOf } from './words.js';

/** Values that stand in a text, each handed out once: what arguments and JSON fields are filled from. */
export class Evidence {
  readonly #text: string;
  readonly #used = new Set<number>();
  #words: Word[] | undefined;
  #stemmed: Set<string> | undefined;
  /** Each search is work. */
  readonly effort = new Effort();

  constructor(
    text: string,
    /** What a free text field gets, such as the extracted answer. */
    readonly answer: string = text,
  ) {
    this.#text = text;
  }

  /** A number near the field's name, else the first one not yet used. */
  number(name: string): number | undefined {
    const found = this.#named(name, /-?\d+(?:\.\d+)?/y) ?? this.#first(/-?\d+(?:\.\d+)?/g);
    return found !== undefined && Number.isFinite(Number(found)) ? Number(found) : undefined;
  }

  /** Which of the options stands in the text: the longest first, so that "dark blue" wins over "blue". */
  option(options: readonly unknown[]): unknown {
    this.effort.look(this.#text.length * (1 + options.length) + JSON.stringify(options).length);
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
    this.effort.look(this.#text.length * 2);
    if (words.length === 0 || !words.every((word) => this.#stems.has(word))) return undefined;
    const negated = new RegExp(`\\b(?:no|not|without|never|don't|dont)\\W+(?:\\w+\\W+){0,2}${words[0]}`, 'i');
    return !negated.test(this.#text);
  }

  /** A piece of text for the field: what follows its name, else a quotation, a name, or what follows a preposition. */
  text(name: string): string | undefined {
    return (
      this.#named(name, /"[^"\n]+"|[\p{L}\p{N}@._/-]+(?: \p{Lu}[\p{L}\p{N}]+)*/uy) ??
      this.#first(/"([^"\n]+)"|“([^“”\n]+)”|`([^`\n]+)`/gu) ??
      this.#first(/(?<![.!?]\s{1,9}|^)\b(\p{Lu}[\p{L}\p{N}'’-]*(?:\s+\p{Lu}[\p{L}\p{N}'’-]*)*)/gu) ??
      this.#first(/\b(?:in|for|to|at|from|about|on|of|named|called)\s+((?:\p{Ll}[\p{L}\p{N}-]*\s*){1,4})/gu)
    );
  }

  /** The first piece of the text that a pattern matches. */
  match(pattern: RegExp): string | undefined {
    this.effort.look(this.#text.length);
    return pattern.exec(this.#text)?.[0];
  }

  matchOf(pattern: Pattern): string | undefined {
    this.effort.look(this.#text.length);
    return pattern.findIn(this.#text);
  }

  /** Listed values: parts of the text between commas and "and". */
  list(): string[] {
    this.effort.look(this.#text.length);
    const tail = this.#text.includes(':') ? this.#text.slice(this.#text.lastIndexOf(':') + 1) : this.#text;
    const parts = tail.split(/\s*,\s*(?:and\s+|or\s+)?|\s+(?:and|or)\s+/);
    return parts.length < 2 ? [] : parts.map((part) => part.replace(/[.!?"]+$/, '').trim()).filter(Boolean);
  }

  get #stems(): Set<string> {
    this.#stemmed ??= new Set(wordsOf(this.#text).map(stem));
    return this.#stemmed;
  }

  /** `city: Paris`, `city = Paris`, `city is Paris`. */
  #named(name: string, value: RegExp): string | undefined {
    const label = nameWords(name);
    if (label.length === 0) return undefined;
    this.effort.look(this.#text.length);
    this.#words ??= wordsIn(this.#text);
    for (let first = 0; first + label.length <= this.#words.length; first++) {
      if (!label.every((word, at) => this.#words![first + at]!.text.startsWith(word))) continue;
      const found = this.#valueAfter(this.#words[first + label.length - 1]!, value);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #valueAfter({ end }: Word, value: RegExp): string | undefined {
    const link = /\s{0,9}(?::|=|\b(?:is|of)\b)\s{0,9}/iy;
    link.lastIndex = end;
    if (!link.test(this.#text)) return undefined;
    value.lastIndex = link.lastIndex;
    const found = value.exec(this.#text);
    return found ? this.#take(found.index, found[0]) : undefined;
  }

  #first(pattern: RegExp): string | undefined {
    this.effort.look(this.#text.length);
    for (const match of this.#text.matchAll(pattern)) {
      const value = match.slice(1).find((group) => group !== undefined) ?? match[0];
      const taken = this.#take(match.index + match[0].lastIndexOf(value), value);
      if (taken !== undefined) return taken;
    }
    return undefined;
  }

  #take(at: number, value: string): string | undefined {
    if (this.#used.has(at)) return undefined;
    this.#used.add(at);
    const clean = value.replace(/^["“`]|["”`]$/g, '').trim();
    return clean === '' ? undefined : clean;
  }
}

interface Word {
  text: string;
  end: number;
}

/** The words of a text in lower case, with the place where each ends. */
function wordsIn(text: string): Word[] {
  return [...text.matchAll(/[\p{L}\p{M}\p{N}]+/gu)].map(({ 0: word, index }) => {
    return { text: word.toLowerCase(), end: index + word.length };
  });
}

/** `maxResults` and `max_results` → max, result. Only letters and digits, so they can stand in a pattern. */
function nameWords(name: string): string[] {
  return wordsOf(name.replace(/([\p{Ll}\p{N}])(\p{Lu})/gu, '$1 $2').replaceAll('_', ' ')).map(stem);
}
