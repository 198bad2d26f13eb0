import type { WireError } from '@atoll/plugin-sdk/contract';
import { AtollError, fromWireError, isErrorCode } from '@atoll/plugin-sdk/contract';
import type { ErrorMeta } from '../../protocol/messages.js';

const MAX_MESSAGE = 2_000;
const MAX_STACK = 8_000;

/**
 * A thrown value as data. An error counts as a catalogue error by its shape, not its class: plugins bundle their own copy of
 * the SDK.
 */
export function describeError(thrown: unknown): ErrorMeta {
  try {
    return describe(thrown);
  } catch {
    // Getters of a guest's error may throw as well.
    return { code: 'PLUGIN_ERROR', message: 'The plugin threw a value that cannot be read.' };
  }
}

function describe(thrown: unknown): ErrorMeta {
  if (typeof thrown !== 'object' || thrown === null)
    return { code: 'PLUGIN_ERROR', message: String(thrown).slice(0, MAX_MESSAGE) };
  const error = thrown as { name?: unknown; message?: unknown; code?: unknown; extras?: unknown; stack?: unknown };
  const message = String(error.message ?? 'no message').slice(0, MAX_MESSAGE);
  const stack = typeof error.stack === 'string' ? error.stack.slice(0, MAX_STACK) : undefined;
  if (error.name === 'AtollError' && isErrorCode(error.code)) {
    const extras = plainExtras(error.extras);
    return { code: error.code, message, ...(extras && { extras }), ...(stack !== undefined && { stack }) };
  }
  const named =
    error.name === 'Error' || error.name === undefined ? message : `${String(error.name).slice(0, 100)}: ${message}`;
  return { code: 'PLUGIN_ERROR', message: named, ...(stack !== undefined && { stack }) };
}

function plainExtras(extras: unknown): Record<string, unknown> | undefined {
  if (typeof extras !== 'object' || extras === null || Object.keys(extras).length === 0) return undefined;
  const text = JSON.stringify(extras);
  return text.length > 16_000 ? undefined : (JSON.parse(text) as Record<string, unknown>);
}

export function reviveError(meta: string): AtollError {
  return fromWireError(JSON.parse(meta) as WireError);
}

/** `PLUGIN_BAD_RESPONSE` for what JSON cannot hold: circular objects, BigInts, functions. */
export function stringifyResult(value: unknown, what: string): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new AtollError(
      'PLUGIN_BAD_RESPONSE',
      `${what} is not JSON: ${error instanceof Error ? error.message.split('\n')[0] : 'unknown'}.`,
    );
  }
  if (text === undefined) throw new AtollError('PLUGIN_BAD_RESPONSE', `${what} is not JSON: a ${typeof value}.`);
  return text;
}
