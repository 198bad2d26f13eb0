import { type Http, type Static, Type } from '@atoll/plugin-sdk';
import type { ChatChunk, ChatOutput, RoutedChatInput, TokenLogprob } from '@atoll/plugin-sdk/services/llm-provider';
import type { OpenStream, Router } from '../router.js';
import { type Envelope, newEnvelope, toUsage } from './chat-answer.js';
import { addJsonRoute } from './json-route.js';
import { badRequest, toErrorObject, unsupported } from './problem.js';
import { refuseOptions } from './refusals.js';
import { defined, optional } from './schema.js';
import { sseEvent, sseResponse } from './sse.js';

const Body = Type.Object({
  model: Type.Optional(Type.String({ minLength: 1 })),
  prompt: Type.Unknown({ description: 'Text, or a list with one text.' }),
  stream: optional.boolean,
  stream_options: optional.object,
  n: optional.integer(1),
  best_of: optional.integer(1),
  echo: optional.boolean,
  suffix: optional.string,
  temperature: optional.number(0, 2),
  top_p: optional.number(0, 1),
  max_tokens: optional.integer(1),
  stop: optional.stop,
  seed: optional.integer(Number.MIN_SAFE_INTEGER),
  frequency_penalty: optional.number(-2, 2),
  presence_penalty: optional.number(-2, 2),
  logprobs: optional.integer(0, 5),
});
type Body = Static<typeof Body>;

/** The old completions API. Providers here only chat, so the prompt goes as the one message of a user. */
export function addCompletionsRoute(http: Http, router: Router): void {
  const schemas = { body: Body, summary: 'Complete a prompt (legacy)' };
  addJsonRoute(http, router.inFlight, '/completions', schemas, async (body, { signal, done }) => {
    const input = toInput(body);
    if (!body.stream) {
      const output = await router.chat(input, { signal });
      return toCompletion(newEnvelope('cmpl', output.model), output);
    }
    const open = await router.chatStream(input, { signal });
    const withUsage = body.stream_options?.include_usage === true;
    return sseResponse(events(open, withUsage), (error) => sseEvent({ error: toErrorObject(error) }), done);
  });
}

function toInput(body: Body): RoutedChatInput {
  refuseOptions(body);
  if ((body.best_of ?? 1) > 1) throw unsupported('best_of: only one answer per request.');
  if (body.echo) throw unsupported('echo: the prompt is not repeated here.');
  if (body.suffix) throw unsupported('suffix: text cannot be inserted here.');
  if ('logit_bias' in body && Object.keys(body.logit_bias ?? {}).length > 0)
    throw unsupported('logit_bias: use /v1/chat/completions.');
  const stop = typeof body.stop === 'string' ? [body.stop] : body.stop;
  return {
    messages: [{ role: 'user', content: readPrompt(body.prompt) }],
    ...defined({
      model: body.model,
      stop: stop?.filter((text) => text !== ''),
      seed: body.seed,
      temperature: body.temperature,
      topP: body.top_p,
      maxTokens: body.max_tokens,
      frequencyPenalty: body.frequency_penalty,
      presencePenalty: body.presence_penalty,
      logprobs: typeof body.logprobs === 'number' || undefined,
      topLogprobs: body.logprobs,
    }),
  };
}

function readPrompt(prompt: unknown): string {
  const [first, ...more] = Array.isArray(prompt) ? prompt : [prompt];
  if (typeof first === 'number' || Array.isArray(first))
    throw unsupported('prompt: tokens are not supported; send text.');
  if (typeof first !== 'string') throw badRequest('prompt must be text.');
  if (more.length > 0) throw unsupported('prompt: only one prompt per request.');
  return first;
}

const head = ({ id, created, model }: Envelope) => ({ id, object: 'text_completion', created, model });

function toCompletion(envelope: Envelope, { message, finishReason, usage, logprobs }: ChatOutput) {
  const choice = { index: 0, text: message.content, logprobs: toLegacy(logprobs, 0), finish_reason: finishReason };
  return { ...head(envelope), choices: [choice], ...(usage && { usage: toUsage(usage) }) };
}

async function* events({ target, chunks }: OpenStream, withUsage: boolean): AsyncGenerator<string> {
  const envelope = newEnvelope('cmpl', target.id);
  let usage: ChatChunk['usage'];
  let offset = 0;
  for await (const { content, logprobs, finishReason, usage: counted } of chunks) {
    usage = counted ?? usage;
    if (content === undefined && finishReason === undefined) continue;
    const choice = {
      index: 0,
      text: content ?? '',
      logprobs: toLegacy(logprobs, offset),
      finish_reason: finishReason ?? null,
    };
    offset += content?.length ?? 0;
    yield sseEvent({ ...head(envelope), choices: [choice], ...(withUsage && { usage: null }) });
  }
  if (withUsage) yield sseEvent({ ...head(envelope), choices: [], usage: usage ? toUsage(usage) : null });
  yield 'data: [DONE]\n\n';
}

/** Log probabilities in the columns of the old API. */
function toLegacy(logprobs: TokenLogprob[] | undefined, start: number) {
  if (!logprobs) return null;
  let offset = start;
  const offsets = logprobs.map(({ token }) => {
    const at = offset;
    offset += token.length;
    return at;
  });
  return {
    tokens: logprobs.map(({ token }) => token),
    token_logprobs: logprobs.map(({ logprob }) => logprob),
    top_logprobs: logprobs.map(({ top = [] }) => Object.fromEntries(top.map(({ token, logprob }) => [token, logprob]))),
    text_offset: offsets,
  };
}
