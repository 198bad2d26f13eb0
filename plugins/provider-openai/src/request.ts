import type { ChatInput, ChatMessage, ContentPart, ResponseFormat } from '@atoll/plugin-sdk/services/llm-provider';

type Json = Record<string, unknown>;

/** A chat as the body of `/chat/completions`. */
export function toBody(input: ChatInput, official: boolean): Json {
  const { maxTokens, toolChoice, think } = input;
  return defined({
    model: input.model,
    messages: input.messages.map(toMessage),
    tools: input.tools?.length ? input.tools.map((tool) => ({ type: 'function', function: tool })) : undefined,
    tool_choice: input.tools?.length ? toChoice(toolChoice) : undefined,
    parallel_tool_calls: input.tools?.length ? input.parallelToolCalls : undefined,
    response_format: toFormat(input.responseFormat),
    stop: input.stop?.length ? input.stop : undefined,
    seed: input.seed,
    temperature: input.temperature,
    top_p: input.topP,
    top_k: input.topK,
    frequency_penalty: input.frequencyPenalty,
    presence_penalty: input.presencePenalty,
    logprobs: input.logprobs,
    top_logprobs: input.topLogprobs,
    logit_bias: input.logitBias,
    // Newer models of OpenAI refuse the old name; many other servers know only that one.
    ...(official ? { max_completion_tokens: maxTokens } : { max_tokens: maxTokens }),
    reasoning_effort: think === false ? 'none' : think === true ? 'medium' : think,
  });
}

const toChoice = (choice: ChatInput['toolChoice']) =>
  typeof choice === 'object' ? { type: 'function', function: { name: choice.name } } : choice;

function toFormat(format: ResponseFormat | undefined): Json | undefined {
  if (!format || format.type === 'text') return undefined;
  if (format.type === 'json') return { type: 'json_object' };
  const { type, name = 'answer', description, schema, strict } = format;
  return { type, json_schema: defined({ name, description, schema, strict }) };
}

function toMessage({ role, content, name, toolCalls, toolCallId }: ChatMessage): Json {
  const calls = toolCalls?.map(({ id, name, arguments: text }) => ({
    id,
    type: 'function',
    function: { name, arguments: text },
  }));
  return defined({
    role,
    content: typeof content === 'string' ? (calls?.length && content === '' ? null : content) : content.map(toPart),
    name: role === 'tool' ? undefined : name,
    tool_calls: calls?.length ? calls : undefined,
    tool_call_id: toolCallId,
  });
}

function toPart(part: ContentPart): Json {
  if (part.type === 'text') return { type: 'text', text: part.text };
  if (part.type === 'audio') return { type: 'input_audio', input_audio: { data: part.data, format: part.format } };
  const url = part.url ?? `data:${part.mediaType ?? 'image/png'};base64,${part.data ?? ''}`;
  return { type: 'image_url', image_url: defined({ url, detail: part.detail }) };
}

function defined(object: Json): Json {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}
