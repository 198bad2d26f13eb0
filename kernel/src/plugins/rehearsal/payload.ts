import { createHash } from 'node:crypto';
import type { SyscallReply } from '../../sandbox/host/syscall.js';
import type { HostAnswer, Payload } from './recorded-call.js';

/** Undefined for nothing. What is not UTF-8 text can't be searched for what has to be masked, so only its digest is kept. */
export function toPayload(body: Buffer | string | undefined): Payload | undefined {
  if (body === undefined || body.length === 0) return undefined;
  const text = typeof body === 'string' ? body : decode(body);
  if (text === undefined) return { opaque: digest(body as Buffer) };
  try {
    return { json: JSON.parse(text) as unknown };
  } catch {
    return { text };
  }
}

export function fromPayload(payload: Payload | undefined): string | undefined {
  if (!payload || 'opaque' in payload) return undefined;
  return 'json' in payload ? JSON.stringify(payload.json) : payload.text;
}

/** An answer of the host as it is kept; its stream is told separately. */
export function toAnswer({ value, json, bytes, head }: SyscallReply): HostAnswer {
  const body = toPayload(bytes ?? json ?? (value === undefined ? undefined : JSON.stringify(value)));
  return { ...(head !== undefined && { head }), ...(body && { body }), ...(bytes && { bytes: true as const }) };
}

function decode(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

const digest = (bytes: Buffer): string =>
  `${bytes.length} bytes ${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}`;
