import { AtollError, type ErrorCode, type ErrorExtras } from '@atoll/plugin-sdk';
import { excerpt, retryAfterOf, stringOf } from '@atoll/plugin-sdk/services/llm-provider';

/** What Ollama says, by its wording: the same sentence comes as a status at the start and as a line in mid-stream. */
const SAYINGS: readonly [RegExp, ErrorCode][] = [
  [/server busy|maximum pending requests/i, 'UPSTREAM_BUSY'],
  [/exceeds? the (?:available )?context|context (?:length|window|size)/i, 'CONTEXT_TOO_LONG'],
  [/(?:prompt|input) (?:is )?too (?:long|large)/i, 'CONTEXT_TOO_LONG'],
  [/model .*not found|try pulling it/i, 'MODEL_NOT_FOUND'],
  [/does not support|not currently supported/i, 'UNSUPPORTED'],
];

/** An error that Ollama reported in words, with the status it came with; 200 for a line in mid-stream. */
export function reportedError(text: string, status: number, extras: ErrorExtras = {}): AtollError {
  const said = excerpt(text, 500) || `status ${status}`;
  for (const [pattern, code] of SAYINGS) if (pattern.test(said)) return new AtollError(code, `Ollama: ${said}`, extras);
  if (status === 404) return new AtollError('MODEL_NOT_FOUND', `Ollama: ${said}`);
  if (status === 503) return new AtollError('UPSTREAM_BUSY', `Ollama: ${said}`, extras);
  if (status === 429) return new AtollError('TOO_MANY_REQUESTS', `Ollama: ${said}`, extras);
  if (status === 400) return new AtollError('BAD_REQUEST', `Ollama: ${said}`);
  if (status === 403) {
    const hint =
      'it answers only requests for a host name it knows, see OLLAMA_HOST and OLLAMA_ORIGINS of the Ollama server';
    return new AtollError('UPSTREAM_ERROR', `Ollama refused: ${said} (${hint}).`, { status });
  }
  // 499 means that Ollama believes its client went away; towards our client, who is still there, Ollama failed.
  if (status > 400 && status < 499) return new AtollError('UPSTREAM_ERROR', `Ollama: ${said}`, { status });
  return new AtollError('UPSTREAM_ERROR', `Ollama: ${said}`);
}

/**
 * The error of an answer whose status is not 2xx. Its body may be JSON, text, HTML or nothing, whatever its type
 * claims.
 */
export function statusError(status: number, body: string, headers = new Headers()): AtollError {
  const extras = retryAfterOf(headers);
  let said: unknown;
  try {
    said = (JSON.parse(body) as { error?: unknown } | null)?.error;
  } catch {
    if (/^\s*</.test(body)) {
      const detail = `The configured host answered ${status} with a web page instead of JSON: ${excerpt(body)}`;
      if (status === 503) return new AtollError('UPSTREAM_BUSY', detail, extras);
      return new AtollError('UPSTREAM_BAD_ANSWER', detail);
    }
    said = body;
  }
  if (typeof said === 'object' && said !== null) said = (said as { message?: unknown }).message;
  return reportedError(typeof said === 'string' ? said : '', status, extras);
}

/** Ollama reports in words; others send an object with a message. */
export function wordsOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return String(error);
  return stringOf((error as { message?: unknown }).message) ?? JSON.stringify(error);
}

export const badAnswer = (what: string): AtollError =>
  new AtollError('UPSTREAM_BAD_ANSWER', `The Ollama server ${what}`);
