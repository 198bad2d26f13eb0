import type { ChatMessage, RoutedChatInput } from '@atoll/plugin-sdk/services/llm-provider';
import { asObject, readContent } from '../api/messages.js';
import { badRequest, unsupported } from '../api/problem.js';
import { defined, isUnset } from '../api/schema.js';
import { readFormat, readTools, readToolChoice } from '../api/tools.js';
import type { ResponsesBody } from './body.js';

/** What would need a memory of earlier responses, or work that goes on after the answer. */
const STATEFUL: Record<string, string> = {
  previous_response_id: 'responses are not stored here; send the earlier items in input',
  conversation: 'conversations are not stored here; send the earlier items in input',
  prompt: 'prompt templates are not stored here; send the text in instructions',
  background: 'there are no background responses; leave it out',
  context_management: 'the context is not compacted here; send less',
};

/** A response as OpenAI's clients ask for it, in provider-neutral words. */
export function toChatInput(body: ResponsesBody): RoutedChatInput {
  refuseState(body);
  const tools = readTools(body.tools);
  const wantsLogprobs = !!body.top_logprobs || !!body.include?.includes('message.output_text.logprobs');
  const messages = readInput(body.input);
  if (messages.length === 0) throw badRequest('input is empty.');
  return {
    messages: body.instructions ? [{ role: 'system', content: body.instructions }, ...messages] : messages,
    ...defined({
      model: body.model,
      tools,
      toolChoice: readToolChoice(body.tool_choice, tools),
      parallelToolCalls: body.parallel_tool_calls,
      responseFormat: readFormat(body.text?.format, 'text.format'),
      temperature: body.temperature,
      topP: body.top_p,
      maxTokens: body.max_output_tokens,
      think: body.reasoning?.effort as string | null | undefined,
      logprobs: wantsLogprobs || undefined,
      topLogprobs: wantsLogprobs ? body.top_logprobs : undefined,
    }),
  };
}

function refuseState(body: ResponsesBody): void {
  const values = body as Record<string, unknown>;
  if (body.store) throw unsupported('store: responses are not stored here; leave it out or send false.');
  if (values.truncation === 'auto') throw unsupported('truncation: nothing is cut silently here; send less.');
  for (const [name, reason] of Object.entries(STATEFUL)) {
    if (!isUnset(values[name]) && values[name] !== false) throw unsupported(`${name}: ${reason}.`);
  }
  const verbosity = body.text?.verbosity;
  if (!isUnset(verbosity) && verbosity !== 'medium') throw unsupported('text.verbosity: say it in the prompt.');
}

function readInput(input: unknown): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }];
  if (!Array.isArray(input)) throw badRequest('input must be text or a list of items.');
  const messages: ChatMessage[] = [];
  input.forEach((item, index) => {
    readItem(asObject(item, `input[${index}]`), `input[${index}]`, messages);
  });
  return messages;
}

function readItem(item: Record<string, unknown>, at: string, messages: ChatMessage[]): void {
  switch (item.type ?? 'message') {
    case 'message':
      messages.push({ role: readRole(item.role, at), content: readContent(item.content, `${at}.content`) });
      return;
    case 'function_call':
      readCall(item, at, messages);
      return;
    case 'function_call_output': {
      if (typeof item.call_id !== 'string') throw badRequest(`${at}.call_id is missing.`);
      messages.push({ role: 'tool', content: readContent(item.output, `${at}.output`), toolCallId: item.call_id });
      return;
    }
    // Clients send back what they got; reasoning of earlier turns is of no use to another model.
    case 'reasoning':
      return;
    default:
      throw unsupported(`${at}: items of type "${String(item.type)}" are not supported.`);
  }
}

/** Calls are items of their own here, but parts of the assistant's message everywhere else. */
function readCall(item: Record<string, unknown>, at: string, messages: ChatMessage[]): void {
  const { call_id: id, name, arguments: text = '{}' } = item;
  if (typeof id !== 'string') throw badRequest(`${at}.call_id is missing.`);
  if (typeof name !== 'string') throw badRequest(`${at}.name is missing.`);
  if (typeof text !== 'string') throw badRequest(`${at}.arguments must be JSON as text.`);
  const call = { id, name, arguments: text };
  const last = messages.at(-1);
  if (last?.role === 'assistant') last.toolCalls = [...(last.toolCalls ?? []), call];
  else messages.push({ role: 'assistant', content: '', toolCalls: [call] });
}

function readRole(role: unknown, at: string): 'system' | 'user' | 'assistant' {
  if (role === 'developer') return 'system';
  if (role === 'system' || role === 'user' || role === 'assistant') return role;
  throw badRequest(`${at}.role must be user, assistant, system or developer, not "${String(role)}".`);
}
