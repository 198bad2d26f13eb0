import { Redis } from 'ioredis';
import type { Logger } from '../telemetry/logger.js';

const RETRY_MAX_MS = 2_000;

/** A connection to Redis that comes back by itself. While it is away commands fail at once: what uses it has to do without. */
export function connectRedis(url: string, log: Logger): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: 5_000,
    commandTimeout: 2_000,
    retryStrategy: (attempt) => Math.min(attempt * 100, RETRY_MAX_MS),
    connectionName: 'atoll',
  });
  let lost = false;
  redis.on('error', (error) => {
    if (!lost) log.warn({ err: error }, 'Redis is lost');
    lost = true;
  });
  redis.on('ready', () => {
    if (lost) log.info('Redis is back');
    lost = false;
  });
  return redis;
}
