export { RateLimited, RateLimits, type RateLimitsDeps, type Standing } from './rate-limits.js';
export type { LimitRule, RouteClass } from './rule.js';
