import type { Http } from '@atoll/plugin-sdk';
import type { OpenStream, Router } from '../router.js';
import { newEnvelope, toChunk, toCompletion, toDelta, toUsageChunk } from './chat-answer.js';
import { ChatBody } from './chat-body.js';
import { toChatInput } from './chat-request.js';
import { addJsonRoute } from './json-route.js';
import { toErrorObject } from './problem.js';
import { sseEvent, sseResponse } from './sse.js';

export function addChatRoute(http: Http, router: Router): void {
  const schemas = { body: ChatBody, summary: 'Chat with a model' };
  addJsonRoute(http, router.inFlight, '/chat/completions', schemas, async (body, { signal, done }) => {
    const input = toChatInput(body);
    if (!body.stream) {
      const output = await router.chat(input, { signal });
      return toCompletion(newEnvelope('chatcmpl', output.model), output);
    }
    const open = await router.chatStream(input, { signal });
    const withUsage = body.stream_options?.include_usage === true;
    return sseResponse(chatEvents(open, withUsage), (error) => sseEvent({ error: toErrorObject(error) }), done);
  });
}

/** A stream as OpenAI sends it: the role, the deltas, the finish, the usage if asked for, `[DONE]`. */
async function* chatEvents({ target, chunks }: OpenStream, withUsage: boolean): AsyncGenerator<string> {
  const envelope = newEnvelope('chatcmpl', target.id);
  yield sseEvent(toChunk(envelope, { role: 'assistant', content: '', refusal: null }, {}, withUsage));
  let usage: Parameters<typeof toUsageChunk>[1];
  for await (const chunk of chunks) {
    const { finishReason, ...rest } = chunk;
    const delta = toDelta(rest);
    usage = rest.usage ?? usage;
    if (delta || rest.logprobs) yield sseEvent(toChunk(envelope, delta ?? {}, { logprobs: rest.logprobs }, withUsage));
    if (finishReason) yield sseEvent(toChunk(envelope, {}, { finishReason }, withUsage));
  }
  if (withUsage) yield sseEvent(toUsageChunk(envelope, usage));
  yield 'data: [DONE]\n\n';
}
