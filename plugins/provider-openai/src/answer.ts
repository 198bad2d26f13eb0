import {
  type ChatChunk,
  type ChatOutput,
  countOf,
  type FinishReason,
  listOf,
  logprobsOf,
  stringOf,
  type Usage,
} from '@atoll/plugin-sdk/services/llm-provider';
import { badAnswer, reportedError } from './errors.js';
import { thinkingOf, toText } from './spoken.js';
import { ToolCallReader, toCalls } from './tool-calls.js';

/** Answers of `/chat/completions`, as far as they can be trusted: any field may be missing, or something else. */
interface Choice {
  index?: unknown;
  message?: Record<string, unknown> | null;
  delta?: Record<string, unknown> | null;
  finish_reason?: unknown;
  logprobs?: { content?: unknown } | null;
}

export function toOutput(answer: Record<string, unknown>, model: string): ChatOutput {
  if (answer.error) throw reportedError(answer);
  const choice = listOf<Choice | null>(answer.choices)[0];
  if (!choice?.message) throw badAnswer('answered a chat without a message.');
  const { content, tool_calls } = choice.message;
  const refusal = stringOf(choice.message.refusal);
  const calls = toCalls(tool_calls);
  const thinking = thinkingOf(choice.message);
  const usage = toUsage(answer.usage);
  const logprobs = logprobsOf(choice.logprobs?.content);
  return {
    model,
    message: {
      role: 'assistant',
      content: toText(content),
      ...(thinking && { thinking }),
      ...(refusal && { refusal }),
      ...(calls.length > 0 && { toolCalls: calls }),
    },
    finishReason: toFinish(choice.finish_reason) ?? (calls.length > 0 ? 'tool_calls' : 'stop'),
    ...(usage && { usage }),
    ...(logprobs && { logprobs }),
  };
}

/** Reads the events of one streamed answer. */
export class ChunkReader {
  readonly #calls = new ToolCallReader();

  /** One event as a chunk; undefined when it says nothing. */
  read(event: Record<string, unknown>): ChatChunk | undefined {
    if (event.error) throw reportedError(event);
    const choice = listOf<Choice | null>(event.choices).find((one) => (one?.index ?? 0) === 0);
    const { content, refusal, tool_calls } = choice?.delta ?? {};
    const finishReason = toFinish(choice?.finish_reason);
    const toolCalls = this.#calls.read(tool_calls);
    if (finishReason) this.#calls.assertNamed();
    const parts = {
      content: toText(content),
      thinking: thinkingOf(choice?.delta),
      refusal: stringOf(refusal),
      toolCalls: toolCalls.length > 0 ? toolCalls : undefined,
      logprobs: logprobsOf(choice?.logprobs?.content),
      finishReason,
      usage: toUsage(event.usage),
    };
    const said = Object.entries(parts).filter(([, part]) => part !== undefined && part !== '');
    return said.length > 0 ? (Object.fromEntries(said) as ChatChunk) : undefined;
  }
}

/** Reasons that mean the answer is not one. */
const FAILED = /error|abort|cancel|fail|timeout/i;

function toFinish(reason: unknown): FinishReason | undefined {
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
      if (FAILED.test(String(reason))) throw badAnswer(`gave its answer up: finish_reason is "${String(reason)}".`);
      return 'stop';
  }
}

interface RawUsage {
  prompt_tokens?: unknown;
  completion_tokens?: unknown;
  total_tokens?: unknown;
  prompt_tokens_details?: { cached_tokens?: unknown } | null;
  completion_tokens_details?: { reasoning_tokens?: unknown } | null;
}

export function toUsage(raw: unknown): Usage | undefined {
  if (typeof raw !== 'object' || raw === null) return undefined;
  const { prompt_tokens, completion_tokens, total_tokens, ...details } = raw as RawUsage;
  const [prompt, completion, total] = [prompt_tokens, completion_tokens, total_tokens].map(countOf);
  if (prompt === undefined && completion === undefined && total === undefined) return undefined;
  const cached = countOf(details.prompt_tokens_details?.cached_tokens);
  const reasoning = countOf(details.completion_tokens_details?.reasoning_tokens);
  return {
    promptTokens: prompt ?? 0,
    completionTokens: completion ?? 0,
    totalTokens: total ?? (prompt ?? 0) + (completion ?? 0),
    ...(cached && { cachedTokens: cached }),
    ...(reasoning && { reasoningTokens: reasoning }),
  };
}
