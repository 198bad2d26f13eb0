import { AtollError, definePlugin } from '@atoll/plugin-sdk';
import {
  type EmbedInput,
  type EmbedOutput,
  llmProvider,
  type ModelList,
} from '@atoll/plugin-sdk/services/llm-provider';
import { CHAT_MODEL, chat, chatStream } from './chat.js';
import { DEFAULT_DIMENSIONS, embed, MAX_DIMENSIONS } from './embedding.js';
import { assertEmbeddable } from './limits.js';
import { countTokens } from './tokenizer.js';

const EMBEDDING_MODEL = 'lexical';

const MODELS: ModelList = {
  models: [
    { id: CHAT_MODEL, ownedBy: 'atoll', created: 0, capabilities: ['chat', 'tools'] },
    { id: EMBEDDING_MODEL, ownedBy: 'atoll', created: 0, capabilities: ['embed'] },
  ],
};

function embedAll({ model, input, dimensions = DEFAULT_DIMENSIONS }: EmbedInput): EmbedOutput {
  if (model !== EMBEDDING_MODEL) {
    throw new AtollError('MODEL_NOT_FOUND', `The built-in provider has no embedding model "${model}".`);
  }
  if (dimensions > MAX_DIMENSIONS) {
    throw new AtollError('BAD_REQUEST', `The built-in embeddings have at most ${MAX_DIMENSIONS} dimensions.`);
  }
  assertEmbeddable(input, dimensions);
  const embeddings = input.map((text) => embed(text, dimensions));
  const promptTokens = input.reduce((sum, text) => sum + countTokens(text), 0);
  return { model, embeddings, usage: { promptTokens } };
}

export default definePlugin(({ services }) => {
  services.provide(llmProvider, {
    models: () => MODELS,
    chat: (input) => chat(input),
    async *chatStream(input) {
      yield* chatStream(input);
    },
    embed: (input) => embedAll(input),
  });
});
