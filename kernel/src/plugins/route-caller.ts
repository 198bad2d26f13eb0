import { AtollError, type RouteRegistration } from '@atoll/plugin-sdk/contract';
import type { HttpReplyMeta } from '../sandbox/protocol/messages.js';
import type { GuestReply } from '../sandbox/host/guest-call.js';
import { BodyKind } from '../sandbox/protocol/frame-type.js';
import type { PluginInstance } from './instance.js';
import type { RouteCall, RouteReply } from './types.js';

/** Turns an HTTP call into a call of the guest, and its answer into an HTTP reply. */
export function routeCaller(instance: PluginInstance, index: number, registration: RouteRegistration) {
  const prefix = `{"m":"http","i":${index}`;
  const answer = async (call: RouteCall): Promise<RouteReply> => {
    const { principal, traceparent, signal, body } = call;
    const reply = await instance.call({
      meta: `${prefix},"v":"${call.method}","u":${JSON.stringify(call.url)},"a":${json(call.params)},"q":${json(call.query)},"h":${JSON.stringify(call.headers)}`,
      ...(body &&
        body.length > 0 && { body, kind: isText(call.headers['content-type']) ? BodyKind.TEXT : BodyKind.BYTES }),
      timeoutMs: registration.timeoutMs ?? instance.manifest.limits.timeoutMs,
      traceparent,
      principal,
      signal,
      streams: true,
    });
    const head = reply.meta === '' ? undefined : headOf(reply);
    const answered: RouteReply = head ? { status: head.s, headers: head.h } : { status: 200 };
    if (reply.stream) answered.stream = reply.stream;
    else if (reply.body) answered.body = reply.body;
    return answered;
  };
  return (call: RouteCall): Promise<RouteReply> => {
    const { meter } = instance;
    return meter
      ? meter.measure(
          () => answer(call),
          ({ status }) => status >= 500,
        )
      : answer(call);
  };
}

/** Most requests have neither parameters nor a query. */
function json(values: Record<string, unknown>): string {
  for (const _ in values) return JSON.stringify(values);
  return '{}';
}

/** Text reaches the guest as a string, which is cheaper there than bytes. */
function isText(contentType = ''): boolean {
  return /^(application\/([a-z.+-]*\+)?json|text\/|application\/x-www-form-urlencoded)/i.test(contentType);
}

/** The head comes from the guest: anything may be in it. Of an answer that is refused nothing more is wanted. */
function headOf({ meta, stream }: GuestReply): HttpReplyMeta {
  const head = parseHead(meta);
  if (head) return head;
  void stream?.return?.();
  throw new AtollError('PLUGIN_BAD_RESPONSE', 'The status or headers of the answer are malformed.');
}

/** Status and headers, in characters. */
const MAX_HEAD = 262_144;

function parseHead(text: string): HttpReplyMeta | undefined {
  if (text.length > MAX_HEAD) return undefined;
  try {
    const head = JSON.parse(text) as Partial<HttpReplyMeta>;
    const fine =
      Number.isInteger(head.s) &&
      head.s! >= 200 &&
      head.s! <= 599 &&
      Array.isArray(head.h) &&
      head.h.every((pair) => Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'string');
    return fine ? (head as HttpReplyMeta) : undefined;
  } catch {
    return undefined;
  }
}
