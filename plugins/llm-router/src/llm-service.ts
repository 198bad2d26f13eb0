import { AtollError, type Services } from '@atoll/plugin-sdk';
import { llm } from '@atoll/plugin-sdk/services/llm';
import { MOST_NUMBERS } from './embedding-batches.js';
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
    embed: (input, { signal }) =>
      held(router, input, () => router.embed(input, { signal }, (length) => assertFits(input.input.length, length))),
  });
}

/** What a plugin answers to another goes in one piece. */
function assertFits(texts: number, length: number): void {
  if (texts * length <= MOST_NUMBERS) return;
  const most = Math.floor(MOST_NUMBERS / length);
  throw new AtollError(
    'BAD_REQUEST',
    `${texts} vectors of ${length} numbers do not fit into one answer; embed at most ${most} texts at once.`,
  );
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
