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
    chat: (input, { signal }) => held(router, input, () => router.chat(input, { signal })),
    async *chatStream(input, { signal }) {
      const release = router.inFlight.takeValue(input);
      try {
        yield* (await router.chatStream(input, { signal })).chunks;
      } finally {
        release();
      }
    },
    embed: (input, { signal }) => held(router, input, () => router.embed(input, { signal })),
  });
}

/** Plugins share the memory with the callers of `/v1`. */
async function held<T>({ inFlight }: Router, input: object, answer: () => Promise<T>): Promise<T> {
  const release = inFlight.takeValue(input);
  try {
    return await answer();
  } finally {
    release();
  }
}
