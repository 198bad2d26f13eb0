import { AtollError } from '@atoll/plugin-sdk';
import {
  type ChatInput,
  type ChatMessage,
  type ContentPart,
  type Tool,
  textOf,
} from '@atoll/plugin-sdk/services/llm-provider';
import type { ChatRequest, Message, Tool as OllamaTool } from 'ollama/browser';
import { type Config, settingsOf } from './config.js';

/** What `/api/chat` understands beyond what the client library declares. */
export type NativeRequest = Omit<ChatRequest, 'think'> & {
  think?: boolean | string;
  truncate?: boolean;
  shift?: boolean;
};

export type Think = boolean | string | undefined;

export function toNative(input: ChatInput, config: Config, think: Think): NativeRequest {
  refuseUnsupported(input);
  const { options, keepAlive } = settingsOf(config, input.model);
  const tools = toolsFor(input);
  const format = formatOf(input);
  return {
    model: input.model,
    messages: toMessages(input.messages),
    options: { ...options, ...samplingOf(input) },
    // A prompt that does not fit is to be an error, not to lose its beginning; the same holds while the answer grows.
    truncate: false,
    shift: false,
    ...(tools.length > 0 && { tools: tools.map(toNativeTool) }),
    ...(format !== undefined && { format }),
    ...(keepAlive !== undefined && { keep_alive: keepAlive }),
    ...(think !== undefined && { think }),
    ...(input.logprobs && { logprobs: true, top_logprobs: input.topLogprobs ?? 0 }),
  };
}

function refuseUnsupported({ logitBias }: ChatInput): void {
  if (logitBias && Object.keys(logitBias).length > 0)
    throw new AtollError('UNSUPPORTED', 'Ollama does not support logit_bias.');
}

/** None of these makes Ollama reload the model. */
function samplingOf(input: ChatInput): Record<string, unknown> {
  const values = {
    temperature: input.temperature,
    top_p: input.topP,
    top_k: input.topK,
    seed: input.seed,
    stop: input.stop?.length ? input.stop : undefined,
    num_predict: input.maxTokens,
    frequency_penalty: input.frequencyPenalty,
    presence_penalty: input.presencePenalty,
  };
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function formatOf({ responseFormat }: ChatInput): string | object | undefined {
  if (!responseFormat || responseFormat.type === 'text') return undefined;
  return responseFormat.type === 'json' ? 'json' : responseFormat.schema;
}

/**
 * Ollama has no tool_choice: `none` hides the tools, a named one hides the others. Whether a call came is checked
 * afterwards.
 */
export function toolsFor({ tools = [], toolChoice = 'auto' }: ChatInput): Tool[] {
  if (toolChoice === 'none') return [];
  if (toolChoice === 'required' && tools.length === 0) {
    throw new AtollError('BAD_REQUEST', 'tool_choice is "required", but there are no tools.');
  }
  if (typeof toolChoice === 'string') return tools;
  const named = tools.filter(({ name }) => name === toolChoice.name);
  if (named.length > 0) return named;
  throw new AtollError('BAD_REQUEST', `tool_choice names "${toolChoice.name}", which is not among the tools.`);
}

function toNativeTool({ name, description, parameters }: Tool): OllamaTool {
  const schema = { type: 'object', properties: {}, ...parameters } as OllamaTool['function']['parameters'];
  return {
    type: 'function',
    function: { name, ...(description !== undefined && { description }), parameters: schema },
  };
}

function toMessages(messages: readonly ChatMessage[]): Message[] {
  const toolNames = new Map<string, string>();
  return messages.map((message) => {
    for (const call of message.toolCalls ?? []) toolNames.set(call.id, call.name);
    const native: Message & { tool_call_id?: string } = { role: message.role, content: textOf(message.content) };
    const media = typeof message.content === 'string' ? [] : message.content.flatMap(toMedia);
    if (media.length > 0) native.images = media;
    if (message.thinking !== undefined) native.thinking = message.thinking;
    if (message.toolCalls?.length) {
      native.tool_calls = message.toolCalls.map(({ id, name, arguments: text }) => {
        return { id, function: { name, arguments: toArguments(text, name) } };
      });
    }
    if (message.role === 'tool' && message.toolCallId !== undefined) {
      native.tool_call_id = message.toolCallId;
      const name = message.name ?? toolNames.get(message.toolCallId);
      if (name !== undefined) native.tool_name = name;
    }
    return native;
  });
}

/** Ollama wants the arguments as an object; everyone else passes them as text. */
function toArguments(text: string, name: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = text.trim() === '' ? {} : JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new AtollError(
    'BAD_REQUEST',
    `The arguments of the earlier call of "${name}" are not a JSON object, which Ollama needs.`,
  );
}

/** Images and audio travel in the same field, as bare base64. */
function toMedia(part: ContentPart): string[] {
  if (part.type === 'text') return [];
  if (part.type === 'audio') {
    if (part.format === 'wav' || part.format === 'mp3') return [part.data];
    throw new AtollError('UNSUPPORTED', `Ollama takes audio as wav or mp3, not ${part.format}.`);
  }
  if (part.data !== undefined) return [part.data];
  throw new AtollError('UNSUPPORTED', 'Ollama does not fetch images: send the image itself as a data: URL (base64).');
}
