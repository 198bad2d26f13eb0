import { definePlugin } from '@atoll/plugin-sdk';
import { llmProvider } from '@atoll/plugin-sdk/services/llm-provider';
import type { Config } from './config.js';
import { OllamaProvider } from './provider.js';

export default definePlugin<Config>(({ config, log, services }) => {
  const provider = new OllamaProvider(config, log);
  services.provide(llmProvider, {
    models: (_input, call) => provider.models(call),
    chat: (input, call) => provider.chat(input, call),
    chatStream: (input, call) => provider.chatStream(input, call),
    embed: (input, call) => provider.embed(input, call),
  });
});
