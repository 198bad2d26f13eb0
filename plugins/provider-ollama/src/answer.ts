import { AtollError } from '@atoll/plugin-sdk';
import {
  type ChatChunk,
  type ChatInput,
  type ChatOutput,
  countOf,
  type FinishReason,
  listOf,
  logprobsOf,
  stringOf,
  type ToolCall,
  type Usage,
} from '@atoll/plugin-sdk/services/llm-provider';
import { badAnswer, reportedError, wordsOf } from './errors.js';

/** One object of a native answer, as far as it can be trusted: any field may be missing, or something else. */
export interface NativeAnswer {
  error?: unknown;
  message?: { content?: unknown; thinking?: unknown; tool_calls?: unknown } | null;
  done?: unknown;
  done_reason?: unknown;
  prompt_eval_count?: unknown;
  eval_count?: unknown;
  logprobs?: unknown;
}

interface NativeCall {
  id?: unknown;
  function?: { name?: unknown; arguments?: unknown } | null;
}

/** Reads the objects of one answer in their order and knows what must hold when it ends. */
export class AnswerReader {
  #calls = 0;
  promptTokens = 0;

  constructor(private readonly input: ChatInput) {}

  /** The chunks of one object; throws what Ollama reports in mid-stream. */
  read(answer: NativeAnswer): ChatChunk[] {
    if (answer.error) throw reportedError(wordsOf(answer.error), 200);
    const { content, thinking, tool_calls } = answer.message ?? {};
    const calls = listOf<NativeCall | null>(tool_calls);
    const logprobs = logprobsOf(answer.logprobs);
    const chunk: ChatChunk = {};
    if (stringOf(thinking)) chunk.thinking = thinking as string;
    if (stringOf(content)) chunk.content = content as string;
    if (calls.length > 0) {
      chunk.toolCalls = calls.map((call) => ({ index: this.#calls, ...toCall(call, this.#calls++) }));
    }
    if (logprobs) chunk.logprobs = logprobs;
    const chunks = Object.keys(chunk).length > 0 ? [chunk] : [];
    return answer.done ? [...chunks, this.#finish(answer)] : chunks;
  }

  #finish(answer: NativeAnswer): ChatChunk {
    const usage = usageOf(answer);
    this.promptTokens = usage.promptTokens;
    // The reason is left out when the model runner's connection closed; then the counters are missing as well. An
    // imitator that just leaves the reason out still counts.
    if (!answer.done_reason && usage.totalTokens === 0) throw badAnswer('ended its answer without a reason.');
    this.#assertCalled();
    return { finishReason: this.#reason(answer.done_reason), usage };
  }

  #reason(reason: unknown): FinishReason {
    if (reason === 'length') return 'length';
    // What an empty request gets: the model was loaded or unloaded, and nothing was said.
    if (reason === 'load' || reason === 'unload') throw badAnswer(`answered with "${reason}" instead of a message.`);
    return this.#calls > 0 ? 'tool_calls' : 'stop';
  }

  /** The second half of tool_choice, see `toolsFor`. */
  #assertCalled(): void {
    const { toolChoice } = this.input;
    if (this.#calls > 0 || toolChoice === undefined || toolChoice === 'auto' || toolChoice === 'none') return;
    const wanted = toolChoice === 'required' ? 'a tool' : `the tool "${toolChoice.name}"`;
    throw new AtollError(
      'UPSTREAM_BAD_ANSWER',
      `The model "${this.input.model}" answered without calling ${wanted}, which tool_choice asked for.`,
    );
  }
}

/** The chunks of a whole answer as one. */
export function collect(model: string, chunks: readonly ChatChunk[]): ChatOutput {
  const join = (key: 'content' | 'thinking') => chunks.map((chunk) => chunk[key] ?? '').join('');
  const toolCalls = chunks.flatMap((chunk) => chunk.toolCalls ?? []) as ({ index: number } & ToolCall)[];
  const logprobs = chunks.flatMap((chunk) => chunk.logprobs ?? []);
  const last = chunks.at(-1);
  if (!last?.finishReason) throw badAnswer('broke off before the end of its answer.');
  const thinking = join('thinking');
  const calls = toolCalls.map(({ id, name, arguments: text }) => ({ id, name, arguments: text }));
  return {
    model,
    message: {
      role: 'assistant',
      content: join('content'),
      ...(thinking !== '' && { thinking }),
      ...(calls.length > 0 && { toolCalls: calls }),
    },
    finishReason: last.finishReason,
    ...(last.usage && { usage: last.usage }),
    ...(logprobs.length > 0 && { logprobs }),
  };
}

function toCall(call: NativeCall | null, index: number): ToolCall {
  const name = stringOf(call?.function?.name);
  if (!name) throw badAnswer('sent a tool call without a name.');
  const values = call?.function?.arguments ?? {};
  const text = stringOf(values) ?? JSON.stringify(values);
  return { id: stringOf(call?.id) || `call_${crypto.randomUUID().slice(0, 8)}${index}`, name, arguments: text };
}

/** Counters that are zero are left out by Ollama. */
function usageOf({ prompt_eval_count, eval_count }: NativeAnswer): Usage {
  const [promptTokens, completionTokens] = [countOf(prompt_eval_count) ?? 0, countOf(eval_count) ?? 0];
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens };
}
