import { defineService } from '../services.js';
import { ChatChunk, ChatInput, ChatOutput } from './chat.js';
import { EmbedInput, EmbedOutput } from './embedding.js';
import { ModelList } from './model.js';

export * from './chat.js';
export * from './chat-message.js';
export * from './embedding.js';
export * from './model.js';
export * from './upstream.js';
export * from './upstream-values.js';

/** A local model may have to be loaded first, and may think long before its first word. */
const ANSWER_MS = 600_000;

/**
 * A source of language models. Several providers coexist; the router addresses each by its plugin id. What a provider
 * cannot honour it refuses with UNSUPPORTED; an unknown model is MODEL_NOT_FOUND; failures of a server behind it are
 * UPSTREAM_*.
 */
export const llmProvider = defineService({
  name: 'llm-provider',
  version: '1.0.0',
  methods: {
    models: { output: ModelList, timeoutMs: 10_000 },
    chat: { input: ChatInput, output: ChatOutput, timeoutMs: ANSWER_MS },
    chatStream: { input: ChatInput, stream: true, chunk: ChatChunk, timeoutMs: ANSWER_MS },
    embed: { input: EmbedInput, output: EmbedOutput, timeoutMs: ANSWER_MS },
  },
});

export type LlmProviderMethods = (typeof llmProvider)['methods'];
