import { AtollError } from '@atoll/plugin-sdk/contract';
import { DriverException } from '@mikro-orm/core';
import { withoutLiterals } from './literals.js';

/** SQLSTATE classes and codes of a server that can't be used now: no connection, no resources, it shuts down or starts. */
const UNAVAILABLE = /^(08|53(?!100)|57P0[1-3]|25P03)/;
const CANCELLED = '57014';
const DISK_FULL = '53100';
/** The embedded database is made so when its disk is nearly full; a server is so as a standby. */
const READ_ONLY = '25006';
const NETWORK = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOTFOUND', 'ETIMEDOUT', 'EHOSTUNREACH', 'EAI_AGAIN']);
const LOST =
  /Connection terminated|not queryable|connection is closed|timeout exceeded when trying to connect|is not running/i;
const TIMEOUT = /Query read timeout/;

/** Whether the error says that the database can't be reached, and not that it did not like a statement. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof AtollError) return error.code === 'DATABASE_UNAVAILABLE';
  if (!(error instanceof Error)) return false;
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && (UNAVAILABLE.test(code) || NETWORK.has(code))) return true;
  return LOST.test(error.message);
}

/** SQLSTATE of a driver error, or undefined. */
export function sqlState(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return !(error instanceof AtollError) && typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
}

/**
 * What the callers of the database get: DATABASE_UNAVAILABLE, DATABASE_FULL or DATABASE_TIMEOUT, or the driver's own exception (of a violated
 * constraint, say) without the values that its message would tell.
 */
export function toDatabaseError(error: unknown): unknown {
  if (error instanceof AtollError || !(error instanceof Error)) return error;
  if (sqlState(error) === DISK_FULL) return new AtollError('DATABASE_FULL', 'The disk of the database is full.');
  if (sqlState(error) === READ_ONLY)
    return new AtollError('DATABASE_FULL', 'The disk of the database is nearly full, or its server is a standby.');
  if (isUnavailable(error))
    return new AtollError('DATABASE_UNAVAILABLE', 'The database cannot be reached.', { retryAfter: 2 });
  if (sqlState(error) === CANCELLED || TIMEOUT.test(error.message))
    return new AtollError('DATABASE_TIMEOUT', 'A database statement took too long and was cancelled.');
  if (error instanceof DriverException) {
    error.message = withoutLiterals(error.message);
    // The stack begins with the message as it was.
    error.stack = `${error.name}: ${error.message}\n${(error.stack ?? '')
      .split('\n')
      .filter((line) => /^\s+at /.test(line))
      .join('\n')}`;
  }
  return error;
}
