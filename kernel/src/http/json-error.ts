const SPACE = /[ \t\n\r]*/y;
const SCALAR = /(?:-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null)(?![A-Za-z0-9_.])/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

type Expected = 'value' | 'value or end' | 'key' | 'key or end' | 'colon' | 'comma or end' | 'nothing';

/** Where a text stops being JSON, in words. `JSON.parse` names the place for some errors only. */
export function whereJsonBreaks(text: string): string {
  const lines = text.slice(0, new Scanner(text).run()).split('\n');
  return `line ${lines.length} column ${lines.at(-1)!.length + 1}`;
}

/** Goes over a text once; only used when it is known to be broken. */
class Scanner {
  readonly #open: ('{' | '[')[] = [];
  #expected: Expected = 'value';
  #at = 0;

  constructor(private readonly text: string) {}

  /** The index of the first character that can't be there. */
  run(): number {
    do this.#skip(SPACE);
    while (this.#at < this.text.length && this.#token(this.text[this.#at]!));
    return this.#at;
  }

  #token(char: string): boolean {
    const expected = this.#expected;
    if (expected === 'nothing') return false;
    if (expected === 'colon') return char === ':' && this.#step('value');
    if (expected === 'comma or end') return this.#afterValue(char);
    if (expected === 'key' || expected === 'key or end') {
      if (char === '}' && expected === 'key or end') return this.#close();
      return this.#string('colon');
    }
    if (char === ']' && expected === 'value or end') return this.#close();
    if (char === '{' || char === '[') {
      this.#open.push(char);
      return this.#step(char === '{' ? 'key or end' : 'value or end');
    }
    return char === '"' ? this.#string(this.#after()) : this.#skip(SCALAR) && this.#expect(this.#after());
  }

  #afterValue(char: string): boolean {
    const open = this.#open.at(-1);
    if (char === ',') return this.#step(open === '{' ? 'key' : 'value');
    return char === (open === '{' ? '}' : ']') && this.#close();
  }

  #close(): boolean {
    this.#open.pop();
    return this.#step(this.#after());
  }

  #after(): Expected {
    return this.#open.length === 0 ? 'nothing' : 'comma or end';
  }

  /** Stays at the string's start when it is no string, so that its start is what is named; else inside, where it breaks. */
  #string(next: Expected): boolean {
    if (this.text[this.#at] !== '"') return false;
    for (this.#at++; this.#at < this.text.length; ) {
      const code = this.text.charCodeAt(this.#at);
      if (code === 0x22) return this.#step(next);
      if (code < 0x20) return false;
      if (code !== 0x5c) this.#at++;
      else if (!this.#skip(ESCAPE)) return false;
    }
    return false;
  }

  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #step(next: Expected): boolean {
    this.#at++;
    return this.#expect(next);
  }

  #expect(next: Expected): boolean {
    this.#expected = next;
    return true;
  }
}
