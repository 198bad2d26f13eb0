import { defineService } from '../services.js';
import { ChatChunk, ChatOutput, RoutedChatInput } from './chat.js';
import { EmbedOutput, RoutedEmbedInput } from './embedding.js';
import { ModelList } from './model.js';

export type { ChatChunk, ChatOutput, FinishReason, RoutedChatInput, Usage } from './chat.js';
export type { ChatMessage, ContentPart, ToolCall } from './chat-message.js';
export type { EmbedOutput, RoutedEmbedInput } from './embedding.js';
export type { ModelInfo, ModelList } from './model.js';

const ANSWER_MS = 600_000;

/**
 * Language models for other plugins, whoever provides them: `services.use('llm').chat({ messages })` answers with
 * `{ message: { role, content }, model, finishReason, usage }`. Models are named as on `/v1`.
 */
export const llm = defineService({
  name: 'llm',
  version: '1.0.0',
  methods: {
    models: { output: ModelList, timeoutMs: 15_000 },
    chat: { input: RoutedChatInput, output: ChatOutput, timeoutMs: ANSWER_MS },
    chatStream: { input: RoutedChatInput, stream: true, chunk: ChatChunk, timeoutMs: ANSWER_MS },
    embed: { input: RoutedEmbedInput, output: EmbedOutput, timeoutMs: ANSWER_MS },
  },
});
