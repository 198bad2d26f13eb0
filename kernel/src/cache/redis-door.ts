import { createHash } from 'node:crypto';
import type { Redis } from 'ioredis';

export type Argument = string | number | Buffer;

/** After Redis kept somebody waiting, nobody asks it for so long, in ms. */
const PAUSE_MS = 1_000;

/** Scripts in Redis that answer soon or not at all. */
export class RedisDoor {
  readonly #hashes = new Map<string, string>();
  #closedUntil = 0;

  constructor(
    private readonly redis: Redis,
    private readonly timeoutMs: number,
  ) {}

  /** Rejects at once while Redis is away, and soon when it does not answer. */
  async run(script: string, prefix: string, args: readonly Argument[]): Promise<unknown> {
    if (this.redis.status !== 'ready' || performance.now() < this.#closedUntil) throw new Error('Redis is away.');
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#closedUntil = performance.now() + PAUSE_MS;
        reject(new Error(`Redis did not answer within ${this.timeoutMs} ms.`));
      }, this.timeoutMs);
    });
    try {
      return await Promise.race([this.#evaluate(script, prefix, args), late]);
    } finally {
      clearTimeout(timer);
    }
  }

  async #evaluate(script: string, prefix: string, args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.redis.callBuffer('EVALSHA', this.#hashOf(script), 1, prefix, ...args);
    } catch (error) {
      if (!(error as Error).message.startsWith('NOSCRIPT')) throw error;
      return this.redis.callBuffer('EVAL', script, 1, prefix, ...args);
    }
  }

  #hashOf(script: string): string {
    const known = this.#hashes.get(script);
    if (known !== undefined) return known;
    const made = createHash('sha1').update(script).digest('hex');
    this.#hashes.set(script, made);
    return made;
  }
}
