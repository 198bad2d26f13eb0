import type { TokenLogprob } from './chat.js';

/**
 * Values in the answers of servers, whatever they really are. What is beside the answer itself must not lose it: a
 * counter that is null counts nothing.
 */

/** A counter: whole and not negative; undefined when it is no number. */
export function countOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? Math.max(0, Math.round(value)) : undefined;
}

export const stringOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

export const listOf = <T = unknown>(value: unknown): T[] => (Array.isArray(value) ? (value as T[]) : []);

/** What OpenAI sends for tokens that are all but impossible; null from others means the same. */
const IMPOSSIBLE = -9999;

interface RawToken {
  token?: unknown;
  logprob?: unknown;
  bytes?: unknown;
  top_logprobs?: unknown;
}

/** Log probabilities as OpenAI and Ollama write them; undefined when there are none. */
export function logprobsOf(list: unknown): TokenLogprob[] | undefined {
  const tokens = listOf<RawToken | null>(list).flatMap((raw) => {
    const token = toToken(raw);
    if (!token) return [];
    const top = listOf<RawToken | null>(raw?.top_logprobs).flatMap((other) => toToken(other) ?? []);
    return [{ ...token, ...(Array.isArray(raw?.top_logprobs) && { top }) }];
  });
  return tokens.length > 0 ? tokens : undefined;
}

function toToken(raw: RawToken | null): TokenLogprob | undefined {
  const token = stringOf(raw?.token);
  if (token === undefined) return undefined;
  const logprob = typeof raw?.logprob === 'number' && Number.isFinite(raw.logprob) ? raw.logprob : IMPOSSIBLE;
  const bytes = listOf<number>(raw?.bytes);
  return { token, logprob, ...(bytes.length > 0 && bytes.every(Number.isInteger) && { bytes }) };
}
