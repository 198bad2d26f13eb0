import { AtollError } from '@atoll/plugin-sdk';
import {
  type ChatChunk,
  type ChatInput,
  type ChatOutput,
  type FinishReason,
  type ToolCall,
  textOf,
  type Usage,
} from '@atoll/plugin-sdk/services/llm-provider';
import { answer, readMessages } from './answer.js';
import { Evidence } from './evidence.js';
import { makeValue } from './generate.js';
import { assertReadable } from './limits.js';
import type { Schema } from './schema.js';
import { countTokens, tokenize } from './tokenizer.js';
import { chooseCall } from './tools.js';

export const CHAT_MODEL = 'extractive';

/** A finished answer, still in the tokens it is streamed in. */
interface Draft {
  tokens: string[];
  toolCalls: ToolCall[];
  finishReason: FinishReason;
  usage: Usage;
}

export function chat(input: ChatInput): ChatOutput {
  const { tokens, toolCalls, finishReason, usage } = draft(input);
  return {
    model: CHAT_MODEL,
    message: { role: 'assistant', content: tokens.join(''), ...(toolCalls.length > 0 && { toolCalls }) },
    finishReason,
    usage,
  };
}

export function* chatStream(input: ChatInput): Generator<ChatChunk> {
  const { tokens, toolCalls, finishReason, usage } = draft(input);
  for (const content of tokens) yield { content };
  for (const [index, call] of toolCalls.entries()) yield { toolCalls: [{ index, ...call }] };
  yield { finishReason, usage };
}

function draft(input: ChatInput): Draft {
  refuseUnsupported(input);
  assertReadable(input);
  const promptTokens = countPrompt(input);
  const call = chooseCall(input);
  if (call) {
    const usage = usageOf(promptTokens, countTokens(call.name) + countTokens(call.arguments));
    return { tokens: [], toolCalls: [call], finishReason: 'tool_calls', usage };
  }
  const tokens = tokenize(cutAtStop(write(input), input.stop ?? []));
  const most = input.maxTokens ?? Infinity;
  const kept = tokens.slice(0, most);
  const finishReason = tokens.length > most ? 'length' : 'stop';
  return { tokens: kept, toolCalls: [], finishReason, usage: usageOf(promptTokens, kept.length) };
}

function refuseUnsupported(input: ChatInput): void {
  const refuse = (what: string) => {
    throw new AtollError('UNSUPPORTED', `The built-in model does not support ${what}.`);
  };
  if (input.model !== CHAT_MODEL)
    throw new AtollError('MODEL_NOT_FOUND', `The built-in provider has no chat model "${input.model}".`);
  if (input.logprobs || input.topLogprobs) refuse('logprobs: it has no probabilities');
  if (input.logitBias && Object.keys(input.logitBias).length > 0) refuse('logit_bias');
  if (input.think && input.think !== 'none') refuse('reasoning');
  for (const { content } of input.messages) {
    if (typeof content === 'string') continue;
    for (const { type } of content) if (type !== 'text') refuse(`${type} input`);
  }
}

/** The text of the answer, or a JSON document when the request asks for one. */
function write({ messages, responseFormat }: ChatInput): string {
  const reading = readMessages(messages);
  const text = answer(reading);
  if (!responseFormat || responseFormat.type === 'text') return text;
  if (responseFormat.type === 'json') return JSON.stringify({ answer: text });
  const schema = responseFormat.schema as Schema;
  const evidence = new Evidence([reading.query, ...reading.sources].join('\n'), text);
  try {
    return JSON.stringify(makeValue(schema, { root: schema, evidence, optional: 'all' }));
  } catch (error) {
    if (!(error instanceof RangeError || error instanceof SyntaxError)) throw error;
    throw new AtollError('UNSUPPORTED', `The built-in model cannot satisfy this JSON schema: ${error.message}.`);
  }
}

function cutAtStop(text: string, stops: readonly string[]): string {
  const cuts = stops.filter((stop) => stop !== '').map((stop) => text.indexOf(stop));
  const first = Math.min(...cuts.filter((at) => at >= 0));
  return Number.isFinite(first) ? text.slice(0, first) : text;
}

function countPrompt({ messages, tools = [] }: ChatInput): number {
  const said = messages.reduce((sum, { content, toolCalls = [] }) => {
    return sum + countTokens(textOf(content)) + toolCalls.reduce((all, call) => all + countTokens(call.arguments), 0);
  }, 0);
  return said + (tools.length > 0 ? countTokens(JSON.stringify(tools)) : 0);
}

function usageOf(promptTokens: number, completionTokens: number): Usage {
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens };
}
