import type { Config } from '../config/index.js';

/** One limit: so many calls of a class within so many seconds, counted for each key, user, address or organisation. */
export type LimitRule = Config['limits']['rules'][number];
export type RouteClass = 'auth' | 'read' | 'write' | 'plugin';

/** Whom a call is counted for. */
export interface Caller {
  key?: string;
  user?: string;
  organisation?: string;
  tier?: string;
  /** An IPv4 address, or the network of an IPv6 one. */
  address: string;
}

/** Whose counter a rule uses for this caller; undefined when it does not apply. */
export function counterOf({ per, only, tier }: LimitRule, caller: Caller): string | undefined {
  const subject = caller[per];
  if (subject === undefined || (only !== undefined && only !== subject)) return undefined;
  return tier === undefined || tier === caller.tier ? subject : undefined;
}

/** A rule for somebody in particular is instead of the one for a tier, and that instead of the one for everybody. */
export const precedence = ({ only, tier }: LimitRule): number => (only !== undefined ? 2 : tier !== undefined ? 1 : 0);
