import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs';
import path from 'node:path';

/** A text in the forms in which it could turn up somewhere. */
export class Needles {
  readonly #forms: [form: string, bytes: Buffer][];

  constructor(text: string) {
    const bytes = Buffer.from(text);
    const forms: [string, string | Buffer][] = [
      ['plain', text],
      ['UTF-16', Buffer.from(text, 'utf16le')],
      ...inJson(text, 4).map((json, depth): [string, string] => [`JSON ${depth + 1} deep`, json]),
      ['URL', encodeURIComponent(text)],
      ['form', new URLSearchParams({ a: text }).toString().slice(2)],
      ['hex', bytes.toString('hex')],
      ...[0, 1, 2].flatMap((before): [string, string][] => {
        const whole = Buffer.concat([Buffer.alloc(before), bytes])
          .toString('base64')
          .replace(/=+$/, '');
        const own = whole.slice(before + 1, -1);
        return [
          [`base64 at ${before}`, own],
          [`base64url at ${before}`, own.replaceAll('+', '-').replaceAll('/', '_')],
        ];
      }),
    ];
    const distinct = new Map<string, [string, Buffer]>();
    for (const [form, content] of forms) {
      const needle = Buffer.from(content as string);
      const id = needle.toString('latin1');
      if (!distinct.has(id)) distinct.set(id, [form, needle]);
    }
    this.#forms = [...distinct.values()];
  }

  /** The forms in which it is there. */
  in(haystack: Buffer | string): string[] {
    const bytes = typeof haystack === 'string' ? Buffer.from(haystack) : haystack;
    return this.#forms.filter(([, needle]) => bytes.includes(needle)).map(([form]) => form);
  }

  /** In the files of a folder, as `file: form`. */
  inFolder(folder: string): string[] {
    return readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .map((name) => path.join(folder, name))
      .filter((file) => statSync(file).isFile())
      .flatMap((file) => this.in(readFileSync(file)).map((form) => `${file}: ${form}`));
  }

  /** In all that a process can write to: its heaps, those of its isolates, stacks and buffers. Linux only. */
  inMemory(pid: number): string[] {
    const found = new Set<string>();
    const memory = openSync(`/proc/${pid}/mem`, 'r');
    try {
      for (const piece of pieces(pid, memory)) for (const form of this.in(piece)) found.add(form);
    } finally {
      closeSync(memory);
    }
    return [...found];
  }
}

/** Within a text of JSON, and that within another one, and so on. */
function inJson(text: string, depth: number): string[] {
  const json = JSON.stringify(text).slice(1, -1);
  return depth === 1 ? [json] : [json, ...inJson(json, depth - 1)];
}

const PAGE_BYTES = 4_096;
const PIECE_BYTES = 8_388_608;
/** Longer than any needle: what lies across two pieces is in one of them. */
const OVERLAP_BYTES = 4_096;
/** Flags of an entry of the page map: in memory, or swapped out. */
const THERE = 0xc0;

function* pieces(pid: number, memory: number): Generator<Buffer> {
  const map = openSync(`/proc/${pid}/pagemap`, 'r');
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line) ?? [];
      if (from === undefined || to === undefined) continue;
      for (const [start, end] of usedRanges(map, Number.parseInt(from, 16), Number.parseInt(to, 16)))
        yield* rangePieces(memory, start, end);
    }
  } finally {
    closeSync(map);
  }
}

/** What of a region was ever touched: engines reserve far more than they use. */
function* usedRanges(map: number, from: number, to: number): Generator<[number, number]> {
  const pages = (to - from) / PAGE_BYTES;
  const entries = Buffer.alloc(Math.min(pages, 262_144) * 8);
  let start: number | undefined;
  for (let first = 0; first < pages; first += entries.length / 8) {
    const read = readOrNothing(map, entries, (from / PAGE_BYTES + first) * 8);
    for (let n = 0; n * 8 < read && first + n < pages; n++) {
      const at = from + (first + n) * PAGE_BYTES;
      const there = (entries[n * 8 + 7]! & THERE) !== 0;
      if (there) start ??= at;
      else if (start !== undefined) {
        yield [start, at];
        start = undefined;
      }
    }
  }
  if (start !== undefined) yield [start, to];
}

function* rangePieces(memory: number, start: number, end: number): Generator<Buffer> {
  for (let at = start; at < end; at += PIECE_BYTES - OVERLAP_BYTES) {
    const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES, end - at));
    yield piece.subarray(0, readOrNothing(memory, piece, at));
    if (at + PIECE_BYTES >= end) break;
  }
}

function readOrNothing(memory: number, piece: Buffer, at: number): number {
  try {
    return readSync(memory, piece, 0, piece.length, at);
  } catch {
    // The region is gone, or is one of a device.
    return 0;
  }
}
