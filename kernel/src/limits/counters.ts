import type { Redis } from 'ioredis';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { LimitRule } from './rule.js';
import { type Count, Windows } from './windows.js';

/** Counts one more in a window of ARGV[2] seconds. One with more time left than that is from before the clock of Redis was set back. */
const COUNT = `redis.call('set', KEYS[1], 0, 'EX', ARGV[2], 'NX')
local consumed = redis.call('incrby', KEYS[1], ARGV[1])
local ttl = redis.call('pttl', KEYS[1])
if ttl == -1 or ttl > 1000 * ARGV[2] then
  redis.call('expire', KEYS[1], ARGV[2])
  ttl = 1000 * ARGV[2]
end
return {consumed, ttl}`;

const MAX_REFUSED = 1_000;

/** Counts the calls of one rule: on this node, or for all of them in Redis. While Redis is away each node counts for itself. */
export class Counters {
  readonly #own: Windows;
  readonly #shared: RateLimiterRedis | undefined;
  /** Whoever is over the limit costs Redis nothing: until when, by `performance.now()`. */
  readonly #refused = new Map<string, number>();

  constructor(
    readonly rule: LimitRule,
    redis: Redis | undefined,
  ) {
    this.#own = new Windows(rule.points, rule.seconds);
    this.#shared =
      redis &&
      new RateLimiterRedis({
        keyPrefix: `atoll:limit:${rule.id}`,
        points: rule.points,
        duration: rule.seconds,
        storeClient: redis,
        customIncrTtlLuaScript: COUNT,
      });
  }

  async count(subject: string): Promise<Count> {
    if (!this.#shared) return this.#own.count(subject);
    const resetMs = (this.#refused.get(subject) ?? 0) - performance.now();
    if (resetMs > 0) return { allowed: false, remaining: 0, resetMs };
    this.#refused.delete(subject);
    try {
      return toCount(await this.#shared.consume(subject), true);
    } catch (error) {
      return error instanceof RateLimiterRes ? this.#refuse(subject, error) : this.#own.count(subject);
    }
  }

  #refuse(subject: string, result: RateLimiterRes): Count {
    const count = toCount(result, false);
    const [oldest] = this.#refused.keys();
    if (oldest !== undefined && this.#refused.size >= MAX_REFUSED) this.#refused.delete(oldest);
    this.#refused.set(subject, performance.now() + count.resetMs);
    return count;
  }
}

const toCount = ({ remainingPoints, msBeforeNext }: RateLimiterRes, allowed: boolean): Count => ({
  allowed,
  remaining: Math.max(0, remainingPoints),
  resetMs: Math.max(0, msBeforeNext),
});
