import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';

/** How far a stream was read: which life of Redis' data, and the entry. */
interface Position {
  life: string;
  entry: string;
}

const MAX_ENTRIES = 10_000;
const READ = 100;
const BLOCK_MS = 1_000;
const PAUSE_MS = 200;
const BEGINNING = '0-0';

/** The stream of durable events in Redis: bounded, and each node reads all of it from where it was. */
export class EventStream {
  readonly #key: string;
  readonly #lifeKey: string;
  #position: Position | undefined;
  #reading: Promise<void> | undefined;
  #closed = false;

  constructor(
    prefix: string,
    position: string | undefined,
    private readonly writer: Redis,
    /** Of its own: it waits for entries. */
    private readonly reader: Redis,
  ) {
    this.#key = `${prefix}:stream`;
    this.#lifeKey = `${prefix}:life`;
    const [life, entry] = position?.split('/') ?? [];
    if (life && entry && /^\d+-\d+$/.test(entry)) this.#position = { life, entry };
  }

  get position(): string | undefined {
    return this.#position && `${this.#position.life}/${this.#position.entry}`;
  }

  /** Resolves with how many of them are in the stream; a later one may be, too, when the connection broke. */
  async append(messages: readonly string[]): Promise<number> {
    const pipeline = this.writer.pipeline();
    for (const message of messages) pipeline.xadd(this.#key, 'MAXLEN', '~', MAX_ENTRIES, '*', 'm', message);
    const results = (await pipeline.exec()) ?? [];
    const failed = results.findIndex(([error]) => error);
    return failed < 0 ? results.length : failed;
  }

  /** Reads until it is closed. `onReset` is called when Redis has lost what it had. */
  read(onMessage: (message: string) => void, onReset: () => Promise<void>): void {
    this.#reading ??= this.#loop(onMessage, onReset);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.reader.disconnect();
    await this.#reading;
  }

  async #loop(onMessage: (message: string) => void, onReset: () => Promise<void>): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#settle(onReset);
        await this.#next(onMessage);
      } catch {
        // Its connection tells what is wrong, once.
        if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS).unref());
      }
    }
  }

  /** A node that is new begins at the end; in a new life of Redis' data everything is new. */
  async #settle(onReset: () => Promise<void>): Promise<void> {
    await this.writer.set(this.#lifeKey, randomUUID(), 'NX');
    const life = (await this.writer.get(this.#lifeKey)) ?? '';
    if (this.#position?.life === life) return;
    if (this.#position) await onReset();
    const [last] = this.#position ? [] : await this.writer.xrevrange(this.#key, '+', '-', 'COUNT', 1);
    this.#position = { life, entry: last?.[0] ?? BEGINNING };
  }

  async #next(onMessage: (message: string) => void): Promise<void> {
    const { life, entry } = this.#position!;
    const found = await this.reader.xread('COUNT', READ, 'BLOCK', BLOCK_MS, 'STREAMS', this.#key, entry);
    for (const [id, fields] of found?.[0]?.[1] ?? []) {
      if (fields[1] !== undefined) onMessage(fields[1]);
      this.#position = { life, entry: id };
    }
  }
}
