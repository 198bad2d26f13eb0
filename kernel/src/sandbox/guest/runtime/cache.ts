import { currentCall } from './async-context.js';
import { describeError, stringifyResult } from './errors.js';
import { type Answer, ask, syscall } from './outbound.js';

interface Options {
  ttl?: number;
  tags?: string[];
}

interface Head {
  kind?: 'json' | 'bytes' | 'none';
  lead?: string;
}

/** The `cache` capability. */
export function createCache() {
  return {
    get: async (key: string) => decode(await syscall('cache.get', { body: JSON.stringify({ key }) })),
    set: async (key: string, value: unknown, { ttl, tags }: Options = {}) => {
      if (value === undefined) throw new TypeError(`cache.set('${key}') needs a value.`);
      const { kind, body } = encode(value);
      await syscall('cache.set', { head: { key, kind, ttl, tags }, ...(body !== undefined && { body }) });
    },
    delete: (key: string) => ask<boolean>('cache.delete', { key }),
    getOrSet,
    invalidateTag: (...tags: string[]) => ask<void>('cache.invalidate', { tags }),
    clear: () => ask<void>('cache.clear', {}),
  };
}

async function getOrSet(key: string, load: () => unknown, { ttl, tags }: Options = {}): Promise<unknown> {
  if (typeof load !== 'function')
    throw new TypeError(`cache.getOrSet('${key}') needs a function that loads the value.`);
  const found = await syscall('cache.board', { body: JSON.stringify({ key, tags }) });
  const { lead } = headOf(found);
  if (lead === undefined) return decode(found);
  const call = currentCall();
  try {
    const { kind, body } = encode(await load());
    await syscall('cache.finish', { head: { lead, kind, ttl, tags }, ...(body !== undefined && { body }) });
    // What a hit would give: JSON makes texts of dates, and so on.
    return typeof body === 'string' ? JSON.parse(body) : body;
  } catch (error) {
    // When merely this caller has gone, another one loads.
    const gone = call?.signal.aborted === true;
    const { code, message } = describeError(error);
    await ask('cache.abandon', { lead, ...(!gone && { error: { code, message } }) }).catch(() => {});
    throw error;
  }
}

const headOf = ({ meta }: Answer): Head => (meta === '' ? {} : (JSON.parse(meta) as Head));

function decode(answer: Answer): unknown {
  const { kind } = headOf(answer);
  if (kind === 'json') return JSON.parse(answer.body as string);
  return kind === 'bytes' ? (answer.body ?? new Uint8Array()) : undefined;
}

function encode(value: unknown): { kind: NonNullable<Head['kind']>; body?: string | Uint8Array } {
  if (value === undefined) return { kind: 'none' };
  if (value instanceof Uint8Array) return { kind: 'bytes', body: value };
  return { kind: 'json', body: stringifyResult(value, 'What is cached') };
}
