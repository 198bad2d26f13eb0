import { expect, it } from 'vitest';
import { embedInBatches } from './embedding-batches.js';

const texts = (count: number) => Array.from({ length: count }, (_, at) => String(at));

/** A provider whose vectors begin with the number that the text is. */
function provider(length: number) {
  const batches: number[] = [];
  const ask = async (batch: string[]) => {
    batches.push(batch.length);
    const embeddings = batch.map((text) => [Number(text), ...new Array<number>(length - 1).fill(0)]);
    return { embeddings, usage: { promptTokens: batch.length } };
  };
  return { batches, ask };
}

it('embeds few texts in one call', async () => {
  const { batches, ask } = provider(3_072);
  await embedInBatches(texts(16), ask);
  expect(batches).toEqual([16]);
});

it('embeds many in calls whose answers stay small, in their order', async () => {
  const { batches, ask } = provider(1_536);
  const { embeddings, usage } = await embedInBatches(texts(1_024), ask);
  expect(Math.max(...batches) * 1_536).toBeLessThanOrEqual(200_000);
  expect(embeddings.map(([first]) => first)).toEqual(texts(1_024).map(Number));
  expect(usage).toEqual({ promptTokens: 1_024 });
});

it('asks for no more when the vectors turn out to be too long', async () => {
  const { batches, ask } = provider(100);
  const refuse = () => {
    throw new RangeError('too long');
  };
  await expect(embedInBatches(texts(1_000), ask, refuse)).rejects.toThrow('too long');
  expect(batches).toEqual([16]);
});

it('notices a provider that leaves some out', async () => {
  await expect(embedInBatches(texts(3), async () => ({ embeddings: [] }))).rejects.toThrow(/made 0 embeddings of 3/);
});

it('says nothing of tokens that were not counted everywhere', async () => {
  const { ask } = provider(10);
  const once = async (batch: string[]) => {
    const { embeddings, usage } = await ask(batch);
    return batch[0] === '0' ? { embeddings, usage } : { embeddings };
  };
  expect(await embedInBatches(texts(20), once)).not.toHaveProperty('usage');
});
