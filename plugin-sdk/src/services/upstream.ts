import { AtollError, type ErrorCode, isErrorCode } from '../contract/errors.js';

/** What providers that call a server share: how a failed `fetch` becomes an error of the catalogue. */

/** An error as it arrives in a plugin; it may be of another copy of the class, so its shape counts. */
interface CodedError {
  code: ErrorCode;
  message: string;
  extras: Record<string, unknown>;
}

/** Reads a thrown value as a catalogue error, following the cause of a failed `fetch`. */
export function codedError(thrown: unknown): CodedError | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  const { name, code, message, extras, cause } = thrown as Record<string, unknown>;
  if (name === 'AtollError' && isErrorCode(code)) {
    return { code, message: String(message), extras: (extras ?? {}) as Record<string, unknown> };
  }
  return name === 'TypeError' && cause !== undefined ? codedError(cause) : undefined;
}

export const isAbort = (thrown: unknown): boolean => (thrown as { name?: unknown } | null)?.name === 'AbortError';

/** Failures that mean "this server cannot be reached from here" to the caller, whatever the reason is. */
const NOT_REACHED: ReadonlySet<ErrorCode> = new Set([
  'NET_FAILED',
  'NET_DENIED',
  'NET_ADDRESS_BLOCKED',
  'SECRET_DENIED',
]);

/** A text without the passwords of the URLs in it. */
export const withoutPasswords = (text: string): string => text.replace(/(\w:\/\/)[^/?#\s]*@/g, '$1');

/**
 * The address of a server, as it was configured. Throws CONFIG_INVALID for one with a user or password: these are never
 * sent, and would be shown wherever the address is.
 */
export function serverUrl(given: string, key: string): string {
  if (withoutPasswords(given) === given) return given;
  throw new AtollError(
    'CONFIG_INVALID',
    `${key}: expected a URL without user and password, which no server would get.`,
  );
}

/** Turns whatever a call to `server` threw into an AtollError. Aborts stay as they are: nobody waits for an answer. */
export function toUpstreamError(thrown: unknown, server: string): unknown {
  if (isAbort(thrown)) return thrown;
  const known = codedError(thrown);
  if (known && NOT_REACHED.has(known.code)) {
    return new AtollError('UPSTREAM_UNREACHABLE', `${server} cannot be reached: ${withoutPasswords(known.message)}`);
  }
  if (known) return new AtollError(known.code, known.message, known.extras);
  const { name, message } = (thrown ?? {}) as { name?: unknown; message?: unknown };
  if (name === 'TimeoutError') return new AtollError('NET_TIMEOUT', `${server} did not answer in time.`);
  return new AtollError(
    'UPSTREAM_UNREACHABLE',
    `${server} cannot be reached: ${withoutPasswords(String(message ?? thrown))}`,
  );
}

/** What a `retry-after` header says, in seconds or as a date, as a member of an error. Nothing when it says nothing. */
export function retryAfterOf(headers: Headers, now = Date.now()): { retryAfter?: number } {
  const said = headers.get('retry-after')?.trim() ?? '';
  const seconds = /^\d+(?:\.\d+)?$/.test(said) ? Number(said) : (Date.parse(said) - now) / 1000;
  return seconds > 0 ? { retryAfter: Math.ceil(seconds) } : {};
}

/** The start of an answer that made no sense, for the error message. */
export function excerpt(text: string, length = 120): string {
  const flat = text.replace(/\s+/g, ' ').trim();
  return flat.length > length ? `${flat.slice(0, length)}…` : flat;
}
