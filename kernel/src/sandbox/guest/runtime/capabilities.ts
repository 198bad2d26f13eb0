import type { CloudEvent } from '@atoll/plugin-sdk';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { IndexedCallMeta } from '../../protocol/messages.js';
import { stringifyResult } from './errors.js';
import { handle, type Outcome } from './inbound.js';
import { ask, tell } from './outbound.js';

export type Register = (syscall: string, registration: object) => void;

export function createEvents(register: Register) {
  const listeners: ((event: CloudEvent) => unknown)[] = [];
  handle('event', async (call): Promise<Outcome> => {
    await listeners[(call.meta as IndexedCallMeta).i]?.(call.json as CloudEvent);
    return {};
  });
  return {
    on(topic: string, listener: (event: CloudEvent) => unknown) {
      if (typeof listener !== 'function') throw new TypeError(`events.on('${topic}') needs a listener function.`);
      register('events.subscribe', { index: listeners.push(listener) - 1, topic });
    },
    emit: (topic: string, data: unknown = null) => ask<void>('events.publish', { topic, data }),
  };
}

type ChannelOptions = { permission?: string };
type ChannelHandler = (call: { data: unknown; principal: unknown; signal: AbortSignal }) => unknown;

export function createWs(register: Register) {
  const channels: ChannelHandler[] = [];
  handle('channel', async (call): Promise<Outcome> => {
    const handler = channels[(call.meta as IndexedCallMeta).i];
    if (!handler) throw new AtollError('NOT_FOUND', 'The channel is gone.');
    const result = await handler({
      data: call.json,
      principal: call.meta.p,
      get signal() {
        return call.signal;
      },
    });
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      const source = (result as AsyncIterable<unknown>)[Symbol.asyncIterator]();
      return { stream: source, encode: (value) => stringifyResult(value, 'A value of the stream') };
    }
    return result === undefined ? {} : { body: stringifyResult(result, 'The answer') };
  });
  return {
    channel(name: string, ...rest: [ChannelHandler, ChannelOptions?] | [object, ChannelHandler, ChannelOptions?]) {
      const [input, handler, options] = typeof rest[0] === 'function' ? [undefined, ...rest] : rest;
      if (typeof handler !== 'function') throw new TypeError(`ws.channel('${name}') needs a handler function.`);
      const { permission } = (options ?? {}) as ChannelOptions;
      const registration = { name, ...(input && { input }), ...(permission !== undefined && { permission }) };
      register('ws.channel', { index: channels.push(handler as ChannelHandler) - 1, registration });
    },
  };
}

type Level = 'debug' | 'info' | 'warn' | 'error';
const MAX_LINE = 8_000;

export function logLine(level: Level, message: string, fields?: object): void {
  let safe: object | undefined;
  try {
    const text = fields && JSON.stringify(fields);
    safe = text === undefined || text.length > MAX_LINE ? undefined : fields;
  } catch {
    safe = undefined;
  }
  tell('log', { level, message: message.slice(0, MAX_LINE), ...(safe && { fields: safe }) });
}

export function createLog() {
  const at = (level: Level) => (fields: object | string, message?: string) =>
    typeof fields === 'string' ? logLine(level, fields) : logLine(level, String(message ?? ''), fields);
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export function createMetrics() {
  const send = (kind: string, name: string, value: number) => tell('metric', { kind, name, value });
  return {
    increment: (name: string, by = 1) => send('counter', name, by),
    gauge: (name: string, value: number) => send('gauge', name, value),
    observe: (name: string, value: number) => send('histogram', name, value),
  };
}

export function createSecrets() {
  return {
    ref: (name: string) => `{{secret:${name}}}`,
    has: (name: string) => ask<boolean>('secrets.has', { name }),
  };
}
