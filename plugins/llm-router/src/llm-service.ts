import type { Services } from '@atoll/plugin-sdk';
import { llm } from '@atoll/plugin-sdk/services/llm';
import type { Router } from './router.js';

/** The `llm` service: the same models for other plugins, in provider-neutral words. */
export function provideLlm(services: Services, router: Router): void {
  services.provide(llm, {
    async models(_input, { signal }) {
      const { entries } = await router.catalogs.all(signal);
      return { models: entries.map(({ id, info }) => ({ ...info, id })) };
    },
    chat: (input, { signal }) => router.chat(input, { signal }),
    async *chatStream(input, { signal }) {
      yield* (await router.chatStream(input, { signal })).chunks;
    },
    embed: (input, { signal }) => router.embed(input, { signal }),
  });
}
