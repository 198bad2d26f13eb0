import { randomBytes } from 'node:crypto';

/** Later versions may add members after the flags; what comes before stays. */
const PATTERN = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const ZEROS = /^0+$/;

/** Random bytes are drawn in bulk: one draw per request costs more than the request's own trace does. */
const POOL_BYTES = 8_192;
let pool = '';
let used = 0;

/** This many random bytes as hex. */
function randomHex(bytes: number): string {
  if (used + bytes * 2 > pool.length) {
    pool = randomBytes(POOL_BYTES).toString('hex');
    used = 0;
  }
  used += bytes * 2;
  return pool.slice(used - bytes * 2, used);
}

/** A W3C traceparent that starts a new trace. */
export function newTraceparent(): string {
  return `00-${randomHex(16)}-${randomHex(8)}-01`;
}

/** The next hop of a trace: same trace id, new span. Starts a new one when the header is absent or malformed. */
export function continueTrace(traceparent: string | undefined): string {
  const match = traceparent === undefined || traceparent.length > 512 ? null : PATTERN.exec(traceparent);
  if (!match) return newTraceparent();
  const [, version, trace, span, flags, more] = match as unknown as [string, string, string, string, string, string?];
  if (ZEROS.test(trace) || ZEROS.test(span) || (version === '00' && more !== undefined)) return newTraceparent();
  // Of the flags only "sampled" is known.
  return `00-${trace}-${randomHex(8)}-0${Number.parseInt(flags, 16) & 1}`;
}
