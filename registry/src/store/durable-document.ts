import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { writeDurably } from './write-durably.js';

export interface ReadDocument<T> {
  /** Undefined when there is no copy that is whole. */
  value?: T;
  /** Counts the writes. */
  generation: number;
  /** Names of copies that are there and damaged. */
  damaged: string[];
}

/**
 * A JSON document in two copies, each with its generation and a hash. A crash leaves at least one whole copy, and so does
 * any damage to one of them; the newer whole one counts.
 */
export class DurableDocument<T> {
  readonly #copies: readonly string[];

  constructor(
    folder: string,
    name: string,
    private readonly drafts: string,
    /** Whether a value has the shape of the document; one that has not counts as damaged. */
    private readonly check: (value: unknown) => value is T,
  ) {
    this.#copies = [`${name}.json`, `${name}.copy.json`].map((file) => path.join(folder, file));
  }

  async read(): Promise<ReadDocument<T>> {
    const damaged: string[] = [];
    let best: { value: T; generation: number } | undefined;
    for (const file of this.#copies) {
      const text = await readFile(file, 'utf8').catch(() => undefined);
      const copy = text === undefined ? undefined : this.#decode(text);
      if (text !== undefined && !copy) damaged.push(path.basename(file));
      if (copy && copy.generation > (best?.generation ?? -1)) best = copy;
    }
    return { ...(best && { value: best.value }), generation: best?.generation ?? 0, damaged };
  }

  async write(value: T, generation: number): Promise<void> {
    const body = JSON.stringify(value);
    const bytes = Buffer.from(`${headOf(generation, body)}\n${body}\n`);
    const [first, second] = this.#copies as [string, string];
    await writeDurably(first, bytes, this.drafts);
    // With the first copy it is written; without the second there is one copy less, not one write less.
    await writeDurably(second, bytes, this.drafts).catch(() => {});
  }

  /** Changes whenever somebody has written the document. */
  async stamp(): Promise<string> {
    const info = await stat(this.#copies[0]!, { bigint: true }).catch(() => undefined);
    return info ? `${info.ino}.${info.mtimeNs}.${info.size}` : '';
  }

  #decode(text: string): { value: T; generation: number } | undefined {
    const end = text.indexOf('\n');
    const [head, body] = [text.slice(0, end), text.slice(end + 1, -1)];
    const generation = Number(head.split(' ')[1]);
    if (end < 0 || !text.endsWith('\n') || head !== headOf(generation, body)) return undefined;
    const value: unknown = JSON.parse(body);
    return this.check(value) ? { value, generation } : undefined;
  }
}

const headOf = (generation: number, body: string): string =>
  `atoll ${generation} sha256-${createHash('sha256').update(`${generation}\n${body}`).digest('hex')}`;
