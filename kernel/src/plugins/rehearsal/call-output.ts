import { AtollError } from '@atoll/plugin-sdk/contract';
import type { GuestReply } from '../../sandbox/host/guest-call.js';
import { BodyKind } from '../../sandbox/protocol/frame-type.js';
import { toPayload } from './payload.js';
import type { CallOutput, Target } from './recorded-call.js';

/** Headers that say nothing about what a plugin does. */
const NOISE: ReadonlySet<string> = new Set(['date', 'age', 'server-timing', 'traceparent', 'x-request-id']);

/** What a guest has answered, without its stream. */
export function outputOf(target: Target, { meta, kind, body }: GuestReply): CallOutput {
  const payload = toPayload(kind === BodyKind.NONE ? undefined : body);
  return { ...(target.kind === 'http' && headOf(meta)), ...(payload && { body: payload }) };
}

/** A stream as it is kept. In HTTP, how it was cut says nothing: it is JSON, or lines. */
export function outputOfChunks(target: Target, chunks: readonly string[]): CallOutput {
  if (target.kind !== 'http') return { chunks: [...chunks] };
  const payload = toPayload(chunks.join(''));
  if (!payload || !('text' in payload)) return payload ? { body: payload } : { chunks: [] };
  return { chunks: payload.text.split('\n').filter((line) => line !== '') };
}

export function outputOfError(error: unknown): CallOutput {
  const { code, message } = error instanceof AtollError ? error : new AtollError('INTERNAL', String(error));
  return { error: { code, message } };
}

/** The guest may have written anything there. */
function headOf(meta: string): Pick<CallOutput, 'status' | 'headers'> {
  const { s = 200, h = [] } = (meta === '' ? {} : JSON.parse(meta)) as { s?: unknown; h?: unknown };
  const pairs = (Array.isArray(h) ? h : []).filter(
    (pair): pair is [string, string] =>
      Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'string',
  );
  const headers = pairs
    .map(([name, value]): [string, string] => [name.toLowerCase(), value])
    .filter(([name]) => !NOISE.has(name));
  return { status: Number(s), headers };
}
