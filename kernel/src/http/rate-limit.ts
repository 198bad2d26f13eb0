import type { Principal } from '@atoll/plugin-sdk/contract';
import { RateLimited, type RateLimits, type RouteClass, type Standing } from '../limits/index.js';
import type { HttpContext } from './context.js';

/** Counts a call against the limits, and says in the headers of the answer how near the caller is to one. Throws TOO_MANY_REQUESTS. */
export async function countCall(
  ctx: HttpContext,
  limits: RateLimits,
  routeClass: RouteClass,
  principal: Principal | undefined,
): Promise<void> {
  try {
    const standing = await limits.count(routeClass, principal, ctx.state.address as string);
    if (standing) tell(ctx, standing);
  } catch (error) {
    if (error instanceof RateLimited) tell(ctx, error.standing);
    throw error;
  }
}

/** What browsers' scripts may read of the answers. */
export const RATE_LIMIT_HEADERS = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset', 'ratelimit-policy'];

/** The header fields of the IETF's draft on rate limits that clients know. */
function tell({ res }: HttpContext, { rule, remaining, resetMs }: Standing): void {
  res.setHeader('ratelimit-limit', rule.points);
  res.setHeader('ratelimit-remaining', remaining);
  res.setHeader('ratelimit-reset', Math.ceil(resetMs / 1000));
  res.setHeader('ratelimit-policy', `${rule.points};w=${rule.seconds};name="${rule.id}"`);
}
