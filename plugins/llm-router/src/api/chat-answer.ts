import type {
  ChatChunk,
  ChatOutput,
  TokenLogprob,
  ToolCallDelta,
  Usage,
} from '@atoll/plugin-sdk/services/llm-provider';

/** What all parts of one answer share. */
export interface Envelope {
  id: string;
  created: number;
  model: string;
}

export const newEnvelope = (prefix: string, model: string): Envelope => ({
  id: `${prefix}-${crypto.randomUUID().replaceAll('-', '')}`,
  created: Math.floor(Date.now() / 1000),
  model,
});

/** A `chat.completion` object. */
export function toCompletion({ id, created, model }: Envelope, output: ChatOutput) {
  const { content, thinking, refusal, toolCalls } = output.message;
  const message = {
    role: 'assistant',
    content: content === '' && toolCalls?.length ? null : content,
    refusal: refusal ?? null,
    ...(thinking !== undefined && { reasoning_content: thinking }),
    ...(toolCalls?.length && {
      tool_calls: toolCalls.map(({ id, name, arguments: text }) => ({
        id,
        type: 'function',
        function: { name, arguments: text },
      })),
    }),
  };
  const choice = { index: 0, message, logprobs: toLogprobs(output.logprobs), finish_reason: output.finishReason };
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: [choice],
    ...(output.usage && { usage: toUsage(output.usage) }),
  };
}

type Delta = Record<string, unknown>;

/** A `chat.completion.chunk` object. With `usage` asked for, all chunks but the last carry it as null. */
export function toChunk(envelope: Envelope, delta: Delta, chunk: ChatChunk, withUsage: boolean) {
  const logprobs = toLogprobs(chunk.logprobs);
  const choice = { index: 0, delta, ...(logprobs && { logprobs }), finish_reason: chunk.finishReason ?? null };
  return { ...chunkHead(envelope), choices: [choice], ...(withUsage && { usage: null }) };
}

export function toUsageChunk(envelope: Envelope, usage: Usage | undefined) {
  return { ...chunkHead(envelope), choices: [], usage: usage ? toUsage(usage) : null };
}

const chunkHead = ({ id, created, model }: Envelope) => ({ id, object: 'chat.completion.chunk', created, model });

/** What a chunk adds to the message; undefined when it adds nothing. */
export function toDelta({ content, thinking, refusal, toolCalls }: ChatChunk): Delta | undefined {
  const delta: Delta = {
    ...(content !== undefined && { content }),
    ...(thinking !== undefined && { reasoning_content: thinking }),
    ...(refusal !== undefined && { refusal }),
    ...(toolCalls?.length && { tool_calls: toolCalls.map(toCallDelta) }),
  };
  return Object.keys(delta).length > 0 ? delta : undefined;
}

function toCallDelta({ index, id, name, arguments: text }: ToolCallDelta) {
  return {
    index,
    ...(id !== undefined && { id, type: 'function' }),
    function: { ...(name !== undefined && { name }), arguments: text ?? '' },
  };
}

const toToken = ({ token, logprob, bytes }: TokenLogprob) => ({
  token,
  logprob,
  bytes: bytes ?? [...new TextEncoder().encode(token)],
});

export function toLogprobs(logprobs: TokenLogprob[] | undefined) {
  if (!logprobs) return null;
  return {
    content: logprobs.map((entry) => ({ ...toToken(entry), top_logprobs: (entry.top ?? []).map(toToken) })),
    refusal: null,
  };
}

export function toUsage({ promptTokens, completionTokens, totalTokens, cachedTokens, reasoningTokens }: Usage) {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: totalTokens,
    ...(cachedTokens !== undefined && { prompt_tokens_details: { cached_tokens: cachedTokens } }),
    ...(reasoningTokens !== undefined && { completion_tokens_details: { reasoning_tokens: reasoningTokens } }),
  };
}
