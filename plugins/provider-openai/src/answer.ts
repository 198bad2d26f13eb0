import type {
  ChatChunk,
  ChatOutput,
  FinishReason,
  TokenLogprob,
  ToolCallDelta,
  Usage,
} from '@atoll/plugin-sdk/services/llm-provider';
import { badAnswer, reportedError } from './errors.js';

/** Answers of `/chat/completions`, as far as they can be trusted: any field may be missing. */
interface Choice {
  index?: number;
  message?: Spoken;
  delta?: Spoken;
  finish_reason?: string | null;
  logprobs?: { content?: Token[] | null } | null;
}

interface Spoken {
  content?: string | null;
  refusal?: string | null;
  reasoning_content?: string | null;
  reasoning?: string | null;
  tool_calls?: Call[] | null;
}

interface Call {
  index?: number;
  id?: string;
  function?: { name?: string | null; arguments?: string | null };
}

interface Token {
  token: string;
  logprob: number;
  bytes?: number[] | null;
  top_logprobs?: Token[];
}

interface RawUsage {
  prompt_tokens?: number;
  completion_tokens?: number;
  total_tokens?: number;
  prompt_tokens_details?: { cached_tokens?: number } | null;
  completion_tokens_details?: { reasoning_tokens?: number } | null;
}

export function toOutput(answer: Record<string, unknown>, model: string): ChatOutput {
  if (answer.error) throw reportedError(answer);
  const choice = (answer.choices as Choice[] | undefined)?.[0];
  if (!choice?.message) throw badAnswer('answered a chat without a message.');
  const { content, refusal, tool_calls } = choice.message;
  const calls = (tool_calls ?? []).map(({ id, function: called }) => {
    if (!called?.name) throw badAnswer('sent a tool call without a name.');
    return { id: id || newCallId(), name: called.name, arguments: called.arguments ?? '{}' };
  });
  const thinking = thinkingOf(choice.message);
  const usage = toUsage(answer.usage);
  const logprobs = choice.logprobs?.content?.map(toLogprob);
  return {
    model,
    message: {
      role: 'assistant',
      content: content ?? '',
      ...(thinking && { thinking }),
      ...(refusal && { refusal }),
      ...(calls.length > 0 && { toolCalls: calls }),
    },
    finishReason: toFinish(choice.finish_reason) ?? (calls.length > 0 ? 'tool_calls' : 'stop'),
    ...(usage && { usage }),
    ...(logprobs && { logprobs }),
  };
}

/** One event of a stream as a chunk; undefined when it says nothing. */
export function toChunk(event: Record<string, unknown>): ChatChunk | undefined {
  if (event.error) throw reportedError(event);
  const choice = (event.choices as Choice[] | undefined)?.find(({ index = 0 }) => index === 0);
  const { content, refusal, tool_calls } = choice?.delta ?? {};
  const chunk: ChatChunk = {};
  const thinking = thinkingOf(choice?.delta);
  const finishReason = toFinish(choice?.finish_reason);
  const usage = toUsage(event.usage);
  if (content) chunk.content = content;
  if (thinking) chunk.thinking = thinking;
  if (refusal) chunk.refusal = refusal;
  if (tool_calls?.length) chunk.toolCalls = tool_calls.map(toDelta);
  if (choice?.logprobs?.content?.length) chunk.logprobs = choice.logprobs.content.map(toLogprob);
  if (finishReason) chunk.finishReason = finishReason;
  if (usage) chunk.usage = usage;
  return Object.keys(chunk).length > 0 ? chunk : undefined;
}

export const newCallId = (): string => `call_${crypto.randomUUID().replaceAll('-', '').slice(0, 24)}`;

const thinkingOf = (spoken: Spoken | undefined) => spoken?.reasoning_content || spoken?.reasoning || undefined;

function toDelta({ index = 0, id, function: called }: Call): ToolCallDelta {
  return {
    index,
    ...(id && { id }),
    ...(called?.name && { name: called.name }),
    ...(called?.arguments && { arguments: called.arguments }),
  };
}

function toFinish(reason: string | null | undefined): FinishReason | undefined {
  switch (reason) {
    case null:
    case undefined:
    case '':
      return undefined;
    case 'length':
    case 'content_filter':
      return reason;
    case 'tool_calls':
    case 'function_call':
      return 'tool_calls';
    default:
      return 'stop';
  }
}

const toToken = ({ token, logprob, bytes }: Token) => ({ token, logprob, ...(bytes && { bytes }) });

function toLogprob(raw: Token): TokenLogprob {
  return { ...toToken(raw), ...(raw.top_logprobs && { top: raw.top_logprobs.map(toToken) }) };
}

export function toUsage(raw: unknown): Usage | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined;
  const { prompt_tokens = 0, completion_tokens = 0, ...usage } = raw as RawUsage;
  const cached = usage.prompt_tokens_details?.cached_tokens;
  const reasoning = usage.completion_tokens_details?.reasoning_tokens;
  return {
    promptTokens: prompt_tokens,
    completionTokens: completion_tokens,
    totalTokens: usage.total_tokens ?? prompt_tokens + completion_tokens,
    ...(cached && { cachedTokens: cached }),
    ...(reasoning && { reasoningTokens: reasoning }),
  };
}
