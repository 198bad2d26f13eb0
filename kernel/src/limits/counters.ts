import type { Redis } from 'ioredis';
import { type RateLimiterAbstract, RateLimiterMemory, RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { LimitRule } from './rule.js';

export interface Count {
  allowed: boolean;
  remaining: number;
  /** Until the window ends. */
  resetMs: number;
}

/** Counts the calls of one rule: on this node, or for all of them in Redis. While Redis is away each node counts for itself. */
export class Counters {
  readonly #limiter: RateLimiterAbstract;

  constructor(
    readonly rule: LimitRule,
    redis: Redis | undefined,
  ) {
    const options = { keyPrefix: `atoll:limit:${rule.id}`, points: rule.points, duration: rule.seconds };
    const memory = new RateLimiterMemory(options);
    this.#limiter = redis
      ? new RateLimiterRedis({
          ...options,
          storeClient: redis,
          insuranceLimiter: memory,
          // Whoever is over the limit costs Redis nothing.
          inMemoryBlockOnConsumed: rule.points + 1,
        })
      : memory;
  }

  async count(subject: string): Promise<Count> {
    try {
      return toCount(await this.#limiter.consume(subject), true);
    } catch (error) {
      if (error instanceof RateLimiterRes) return toCount(error, false);
      throw error;
    }
  }
}

const toCount = ({ remainingPoints, msBeforeNext }: RateLimiterRes, allowed: boolean): Count => ({
  allowed,
  remaining: Math.max(0, remainingPoints),
  resetMs: Math.max(0, msBeforeNext),
});
