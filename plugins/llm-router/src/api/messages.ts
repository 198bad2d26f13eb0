import type { ChatMessage, ContentPart, ToolCall } from '@atoll/plugin-sdk/services/llm-provider';
import { badRequest, unsupported } from './problem.js';
import { isUnset } from './schema.js';

type Raw = Record<string, unknown>;

/** OpenAI's messages as provider-neutral ones. Messages are named by their position, so that errors point somewhere. */
export function readMessages(messages: readonly unknown[]): ChatMessage[] {
  return messages.map((message, index) => readMessage(asObject(message, `messages[${index}]`), `messages[${index}]`));
}

function readMessage(raw: Raw, at: string): ChatMessage {
  const content = isUnset(raw.content) ? '' : readContent(raw.content, `${at}.content`);
  switch (raw.role) {
    case 'developer':
    case 'system':
      return { role: 'system', content };
    case 'user':
      return { role: 'user', content, ...(typeof raw.name === 'string' && { name: raw.name }) };
    case 'assistant':
      return readAssistant(raw, content, at);
    case 'tool':
      if (typeof raw.tool_call_id !== 'string')
        throw badRequest(`${at}.tool_call_id is missing: it names the call this answers.`);
      return { role: 'tool', content, toolCallId: raw.tool_call_id };
    case 'function':
      throw unsupported(`${at}: the role "function" is called "tool" now.`);
    default:
      throw badRequest(`${at}.role must be system, developer, user, assistant or tool, not "${String(raw.role)}".`);
  }
}

function readAssistant(raw: Raw, content: ChatMessage['content'], at: string): ChatMessage {
  const calls = isUnset(raw.tool_calls) ? [] : asArray(raw.tool_calls, `${at}.tool_calls`);
  const toolCalls = calls.map((call, index) =>
    readCall(asObject(call, `${at}.tool_calls[${index}]`), `${at}.tool_calls[${index}]`),
  );
  const thinking = raw.reasoning_content ?? raw.reasoning;
  return {
    role: 'assistant',
    content,
    ...(toolCalls.length > 0 && { toolCalls }),
    ...(typeof thinking === 'string' && thinking !== '' && { thinking }),
  };
}

function readCall(raw: Raw, at: string): ToolCall {
  const called = asObject(raw.function, `${at}.function`);
  if (typeof raw.id !== 'string') throw badRequest(`${at}.id is missing.`);
  if (typeof called.name !== 'string') throw badRequest(`${at}.function.name is missing.`);
  const { arguments: text = '{}' } = called;
  if (typeof text !== 'string') throw badRequest(`${at}.function.arguments must be JSON as text.`);
  return { id: raw.id, name: called.name, arguments: text };
}

export function readContent(content: unknown, at: string): ChatMessage['content'] {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) throw badRequest(`${at} must be text or a list of parts.`);
  return content.map((part, index) => readPart(asObject(part, `${at}[${index}]`), `${at}[${index}]`));
}

function readPart(raw: Raw, at: string): ContentPart {
  switch (raw.type) {
    case 'text':
    case 'input_text':
    case 'output_text':
      if (typeof raw.text !== 'string') throw badRequest(`${at}.text is missing.`);
      return { type: 'text', text: raw.text };
    case 'refusal':
      return { type: 'text', text: String(raw.refusal ?? '') };
    case 'image_url': {
      const image = asObject(raw.image_url, `${at}.image_url`);
      return readImage(image.url, image.detail, `${at}.image_url.url`);
    }
    case 'input_image':
      if (!isUnset(raw.file_id)) throw unsupported(`${at}: files are not stored here; send the image as a data: URL.`);
      return readImage(raw.image_url, raw.detail, `${at}.image_url`);
    case 'input_audio': {
      const audio = asObject(raw.input_audio, `${at}.input_audio`);
      if (typeof audio.data !== 'string' || typeof audio.format !== 'string')
        throw badRequest(`${at}.input_audio needs data and format.`);
      return { type: 'audio', data: audio.data, format: audio.format };
    }
    default:
      throw unsupported(`${at}: parts of type "${String(raw.type)}" are not supported.`);
  }
}

function readImage(url: unknown, detail: unknown, at: string): ContentPart {
  if (typeof url !== 'string') throw badRequest(`${at} is missing.`);
  const common = { type: 'image' as const, ...(typeof detail === 'string' && { detail }) };
  if (!url.startsWith('data:')) return { ...common, url };
  const [, mediaType = 'image/png', data] = /^data:([^;,]+)?(?:;[^;,]+)*;base64,([A-Za-z0-9+/=\s]+)$/.exec(url) ?? [];
  if (data === undefined) throw badRequest(`${at} is a data: URL, but not one with base64.`);
  return { ...common, data: data.replace(/\s+/g, ''), mediaType };
}

export function asObject(value: unknown, at: string): Raw {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Raw;
  throw badRequest(`${at} must be an object.`);
}

export function asArray(value: unknown, at: string): unknown[] {
  if (Array.isArray(value)) return value;
  throw badRequest(`${at} must be a list.`);
}
