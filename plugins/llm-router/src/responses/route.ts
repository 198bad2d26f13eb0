import type { Http } from '@atoll/plugin-sdk';
import type { ChatOutput } from '@atoll/plugin-sdk/services/llm-provider';
import { addJsonRoute } from '../api/json-route.js';
import { toErrorObject } from '../api/problem.js';
import { sseEvent, sseResponse } from '../api/sse.js';
import type { OpenStream, Router } from '../router.js';
import { ResponsesBody } from './body.js';
import { toChatInput } from './request.js';
import { newResponse } from './response.js';
import { type ResponseEvent, ResponseWriter } from './writer.js';

export function addResponsesRoute(http: Http, router: Router): void {
  const schemas = { body: ResponsesBody, summary: 'Create a response (stateless)' };
  addJsonRoute(http, router.inFlight, '/responses', schemas, async (body, { signal, done }) => {
    const input = toChatInput(body);
    if (!body.stream) {
      const output = await router.chat(input, { signal });
      return write(new ResponseWriter(newResponse(body, output.model)), output);
    }
    const open = await router.chatStream(input, { signal });
    const writer = new ResponseWriter(newResponse(body, open.target.id));
    return sseResponse(events(writer, open), (error) => writer.fail(toErrorObject(error)).map(toSse).join(''), done);
  });
}

const toSse = (event: ResponseEvent) => sseEvent(event, event.type);

async function* events(writer: ResponseWriter, { chunks }: OpenStream): AsyncGenerator<string> {
  yield writer.begin().map(toSse).join('');
  for await (const chunk of chunks) {
    const text = writer.add(chunk).map(toSse).join('');
    if (text !== '') yield text;
  }
  yield writer.end().map(toSse).join('');
}

/** A whole answer goes the way of a streamed one, in one step, so that both give the same response. */
function write(writer: ResponseWriter, { message, finishReason, usage, logprobs }: ChatOutput): unknown {
  const { content, thinking, refusal, toolCalls = [] } = message;
  writer.add({
    content,
    thinking,
    refusal,
    logprobs,
    toolCalls: toolCalls.map((call, index) => ({ index, ...call })),
    finishReason,
    usage,
  });
  return writer.end().at(-1)?.response;
}
