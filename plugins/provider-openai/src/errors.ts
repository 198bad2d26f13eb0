import { AtollError, type ErrorExtras } from '@atoll/plugin-sdk';
import { excerpt, retryAfterOf } from '@atoll/plugin-sdk/services/llm-provider';

/** An error object of OpenAI and its imitators; some of them send only a text. */
interface Reported {
  message?: unknown;
  type?: unknown;
  code?: unknown;
}

export const badAnswer = (what: string): AtollError =>
  new AtollError('UPSTREAM_BAD_ANSWER', `The OpenAI-compatible server ${what}`);

/** The error of an answer whose status is not 2xx. Its body may be anything, whatever its type claims. */
export function statusError(status: number, body: string, headers: Headers): AtollError {
  const extras = retryAfterOf(headers);
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    const what = /^\s*</.test(body) ? 'a web page' : 'something';
    const detail = `answered ${status} with ${what} instead of JSON: ${excerpt(body)}`;
    if (status === 503) return new AtollError('UPSTREAM_BUSY', `The OpenAI-compatible server ${detail}`, extras);
    return status < 500 && !/^\s*</.test(body)
      ? byStatus(status, excerpt(body) || `status ${status}`, extras)
      : badAnswer(detail);
  }
  return reportedError(parsed, status, extras);
}

/** What the server reported, at the start (with its status) or in mid-stream (without one that means anything). */
export function reportedError(body: unknown, status = 200, extras: ErrorExtras = {}): AtollError {
  const { error, message: top, detail } = (body ?? {}) as { error?: unknown; message?: unknown; detail?: unknown };
  const reported = (
    typeof error === 'object' && error !== null ? error : { message: error ?? top ?? detail }
  ) as Reported;
  const message =
    typeof reported.message === 'string' ? reported.message : JSON.stringify(reported.message ?? `status ${status}`);
  const words = `${String(reported.code ?? '')} ${String(reported.type ?? '')}`;
  if (/context_length/.test(words) || /maximum context length|context (?:window|length)/i.test(message)) {
    return new AtollError('CONTEXT_TOO_LONG', message);
  }
  if (/model_not_found/.test(words)) return new AtollError('MODEL_NOT_FOUND', message);
  if (/rate_limit|insufficient_quota/.test(words)) return new AtollError('TOO_MANY_REQUESTS', message, extras);
  return byStatus(status, message, extras);
}

function byStatus(status: number, message: string, extras: ErrorExtras): AtollError {
  switch (status) {
    case 400:
      return new AtollError('BAD_REQUEST', message);
    case 404:
      return new AtollError('MODEL_NOT_FOUND', message);
    case 413:
      return new AtollError('BODY_TOO_LARGE', message);
    case 429:
      return new AtollError('TOO_MANY_REQUESTS', message, extras);
    case 503:
    case 529:
      return new AtollError('UPSTREAM_BUSY', message, extras);
    case 504:
      return new AtollError('NET_TIMEOUT', message);
    default:
      // The caller can mend what 4xx complains of; any other failure is the server's, and 502 says so.
      return new AtollError('UPSTREAM_ERROR', message, status >= 400 && status < 499 ? { ...extras, status } : extras);
  }
}
