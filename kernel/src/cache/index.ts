export type { CacheEntry, CacheKey, CacheSpace, CacheStore } from './entry.js';
export { MemoryCacheStore } from './memory-store.js';
export { RedisCacheStore } from './redis-store.js';
export { CacheService } from './service.js';
