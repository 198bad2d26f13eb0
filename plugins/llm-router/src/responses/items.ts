import type { TokenLogprob } from '@atoll/plugin-sdk/services/llm-provider';
import { toLogprobs } from '../api/chat-answer.js';

/** Output items of a response. */
export interface TextPart {
  type: 'output_text';
  text: string;
  annotations: never[];
  logprobs: unknown[];
}

export interface RefusalPart {
  type: 'refusal';
  refusal: string;
}

export interface MessageItem {
  id: string;
  type: 'message';
  role: 'assistant';
  status: ItemStatus;
  content: (TextPart | RefusalPart)[];
}

export interface ReasoningItem {
  id: string;
  type: 'reasoning';
  status: ItemStatus;
  summary: never[];
  content: { type: 'reasoning_text'; text: string }[];
}

export interface CallItem {
  id: string;
  type: 'function_call';
  status: ItemStatus;
  call_id: string;
  name: string;
  arguments: string;
}

export type ItemStatus = 'in_progress' | 'completed' | 'incomplete';
export type OutputItem = MessageItem | ReasoningItem | CallItem;

export const newId = (prefix: string): string => `${prefix}_${crypto.randomUUID().replaceAll('-', '')}`;

export const textPart = (text = '', logprobs: unknown[] = []): TextPart => ({
  type: 'output_text',
  text,
  annotations: [],
  logprobs,
});

export const newMessage = (): MessageItem => ({
  id: newId('msg'),
  type: 'message',
  role: 'assistant',
  status: 'in_progress',
  content: [],
});

export const newReasoning = (): ReasoningItem => ({
  id: newId('rs'),
  type: 'reasoning',
  status: 'in_progress',
  summary: [],
  content: [],
});

export const newCall = (id: string, name: string): CallItem => {
  return { id: newId('fc'), type: 'function_call', status: 'in_progress', call_id: id, name, arguments: '' };
};

export const toTokens = (logprobs: TokenLogprob[] | undefined): unknown[] => toLogprobs(logprobs)?.content ?? [];
