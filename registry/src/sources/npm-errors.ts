import { AtollError } from '@atoll/plugin-sdk/contract';

/** What npm's client throws, by the catalogue. `statusCode` is the registry's; without one it did not answer. */
export function toSourceError(error: unknown, source: string): AtollError {
  if (error instanceof AtollError) return error;
  const { statusCode, message, code } = error as { statusCode?: number; message: string; code?: string };
  const said = `${code ?? ''} ${message}`.trim();
  if (statusCode === 401 || statusCode === 403)
    return new AtollError('SOURCE_DENIED', `"${source}" refuses access: ${said}.`);
  if (statusCode === 404) return new AtollError('NOT_FOUND', `"${source}" does not have it.`);
  if (statusCode !== undefined)
    return new AtollError('SOURCE_BAD_ANSWER', `"${source}" answered with status ${statusCode}: ${said}.`);
  return new AtollError('SOURCE_UNREACHABLE', `"${source}" can't be reached: ${said}.`, {}, { cause: error });
}
