import { createHmac, randomBytes } from 'node:crypto';

/** Values of one call that must not be kept, and what stands for each of them. */
export type Known = Map<string, string>;

const TOKEN = /^masked-[0-9a-f]{12}(@masked\.invalid)?$/i;
const PHONE_TOKEN = /^\+000\d{12}$/;
const NUMBER_TOKENS = 9e12;

const EMAIL = /[\w.%+'-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)+/gi;
const PHONE = /\+\d[\d ()./-]{6,}\d/g;
const CREDENTIAL = /\b(?:eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|(?:sk|pk|ghp|xox[abp])[-_][\w-]{16,})/g;
const BEARER = /\b(?:bearer|basic) +([\w.~+/=-]{6,})/gi;
const JSON_MEMBER = /"([^"\\]{1,80})"\s*:\s*"((?:[^"\\]|\\.)+)"/g;
const FORM_MEMBER = /(?:^|[?&])([^=&?#\s]{1,80})=([^&#\s]+)/g;

/** A shorter one would be found in the midst of other words. */
const MIN_SUBSTRING = 3;

/**
 * Puts tokens in the place of secrets and personal data: the values of fields with certain names, what looks like an e-mail address, a
 * phone number or a credential, and whatever else it is told. Equal values get equal tokens, which tell nothing without the key.
 */
export class Masker {
  readonly #key = randomBytes(32);
  readonly #names: readonly string[];

  constructor(names: readonly string[]) {
    this.#names = names.map(normalize).filter((name) => name !== '');
  }

  /** A field's or header's name says that its value is not to be kept. */
  isSensitive(name: string): boolean {
    const plain = normalize(name);
    return this.#names.some((one) => plain.endsWith(one));
  }

  /** Finds what has to be masked; it is masked wherever else it occurs, too. */
  collect(value: unknown, known: Known): void {
    if (typeof value === 'string') return this.#collectText(value, known);
    if (typeof value !== 'object' || value === null) return;
    if (Array.isArray(value)) {
      if (this.#isSensitivePair(value)) this.learnAll(value[1], known);
      for (const item of value) this.collect(item, known);
      return;
    }
    for (const [key, item] of Object.entries(value)) {
      this.#collectText(key, known);
      if (this.isSensitive(key)) this.learnAll(item, known);
      else this.collect(item, known);
    }
  }

  /** All values in there are to be masked. */
  learnAll(value: unknown, known: Known): void {
    if (typeof value === 'string') this.learn(value, known);
    else if (typeof value === 'number' && Math.abs(value) >= 100_000) this.learn(String(value), known);
    else if (typeof value === 'object' && value !== null)
      for (const item of Object.values(value)) this.learnAll(item, known);
  }

  learn(value: string, known: Known): void {
    if (value.length < MIN_SUBSTRING || isToken(value) || value.startsWith('{{secret:')) return;
    const token = this.#token(value);
    known.set(value, token);
    for (const written of [JSON.stringify(value).slice(1, -1), encodeURIComponent(value)])
      if (written !== value) known.set(written, token);
  }

  /** A copy with tokens in the place of what is known, and of all values of sensitive fields. */
  mask<T>(value: T, known: Known): T {
    const order = [...known].toSorted(([a], [b]) => b.length - a.length);
    return this.#mask(value, order, false) as T;
  }

  #mask(value: unknown, known: readonly [string, string][], all: boolean): unknown {
    if (typeof value === 'string') {
      if (all && value !== '' && !isToken(value) && !value.startsWith('{{secret:')) return this.#token(value);
      return replaceAll(value, known);
    }
    if (typeof value === 'number') return maskNumber(value, known, all, (text) => this.#number(text));
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) {
      const pair = this.#isSensitivePair(value);
      return value.map((item, at) => this.#mask(item, known, all || (pair && at === 1)));
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [
        replaceAll(key, known),
        this.#mask(item, known, all || this.isSensitive(key)),
      ]),
    );
  }

  /** A header in a list: its name and its value. */
  #isSensitivePair(value: readonly unknown[]): boolean {
    const [name, content] = value;
    return value.length === 2 && typeof name === 'string' && typeof content === 'string' && this.isSensitive(name);
  }

  #collectText(text: string, known: Known): void {
    for (const pattern of [EMAIL, PHONE, CREDENTIAL])
      for (const [found] of text.matchAll(pattern)) this.learn(found, known);
    for (const [, found] of text.matchAll(BEARER)) this.learn(found!, known);
    for (const [, name, found] of text.matchAll(JSON_MEMBER))
      if (this.isSensitive(name!)) this.learn(unescapeJson(found!), known);
    for (const [, name, found] of text.matchAll(FORM_MEMBER))
      if (this.isSensitive(name!)) {
        this.learn(found!, known);
        this.learn(unescapeForm(found!), known);
      }
  }

  /** What looks like an address stays one, so that a plugin that checks it goes the same way. */
  #token(value: string): string {
    const hash = this.#hash(value);
    if (new RegExp(`^${EMAIL.source}$`, 'i').test(value)) return `masked-${hash}@masked.invalid`;
    if (new RegExp(`^${PHONE.source}$`).test(value))
      return `+000${(Number.parseInt(hash, 16) % 1e12).toString().padStart(12, '0')}`;
    return `masked-${hash}`;
  }

  #number(text: string): number {
    return NUMBER_TOKENS + (Number.parseInt(this.#hash(text), 16) % 1e9);
  }

  #hash(value: string): string {
    return createHmac('sha256', this.#key).update(value).digest('hex').slice(0, 12);
  }
}

const normalize = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '');

/** What is masked already stays as it is. */
const isToken = (value: string): boolean => TOKEN.test(value) || PHONE_TOKEN.test(value);

function replaceAll(text: string, known: readonly [string, string][]): string {
  let out = text;
  for (const [value, token] of known) if (out.includes(value)) out = out.replaceAll(value, token);
  return out;
}

function maskNumber(
  value: number,
  known: readonly [string, string][],
  all: boolean,
  token: (text: string) => number,
): number {
  if (value >= NUMBER_TOKENS && value < NUMBER_TOKENS + 1e9) return value;
  const text = String(value);
  return all || known.some(([one]) => one === text) ? token(text) : value;
}

function unescapeJson(text: string): string {
  try {
    return JSON.parse(`"${text}"`) as string;
  } catch {
    return text;
  }
}

function unescapeForm(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}
