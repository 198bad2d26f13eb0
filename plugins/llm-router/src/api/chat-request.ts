import type { RoutedChatInput } from '@atoll/plugin-sdk/services/llm-provider';
import type { ChatBody } from './chat-body.js';
import { readMessages } from './messages.js';
import { badRequest } from './problem.js';
import { refuseOptions } from './refusals.js';
import { defined } from './schema.js';
import { readFormat, readTools, readToolChoice } from './tools.js';

/** A chat as OpenAI's clients ask for it, in provider-neutral words. */
export function toChatInput(body: ChatBody): RoutedChatInput {
  refuseOptions(body);
  if (body.top_logprobs && !body.logprobs) throw badRequest('top_logprobs needs logprobs: true.');
  const tools = readTools(body.tools);
  const stop = typeof body.stop === 'string' ? [body.stop] : body.stop;
  return {
    messages: readMessages(body.messages),
    ...defined({
      model: body.model,
      tools,
      toolChoice: readToolChoice(body.tool_choice, tools),
      parallelToolCalls: body.parallel_tool_calls,
      responseFormat: readFormat(body.response_format, 'response_format'),
      stop: stop?.filter((text) => text !== ''),
      seed: body.seed,
      temperature: body.temperature,
      topP: body.top_p,
      topK: body.top_k,
      frequencyPenalty: body.frequency_penalty,
      presencePenalty: body.presence_penalty,
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      logprobs: body.logprobs || undefined,
      topLogprobs: body.logprobs ? body.top_logprobs : undefined,
      logitBias: readBias(body.logit_bias),
      think: body.reasoning_effort,
    }),
  };
}

function readBias(bias: Record<string, unknown> | null | undefined): Record<string, number> | undefined {
  const entries = Object.entries(bias ?? {});
  if (entries.length === 0) return undefined;
  if (entries.every(([, value]) => typeof value === 'number'))
    return Object.fromEntries(entries) as Record<string, number>;
  throw badRequest('logit_bias must give a number for each token.');
}
