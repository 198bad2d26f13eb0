import { AtollError } from '@atoll/plugin-sdk';
import type { EmbedOutput } from '@atoll/plugin-sdk/services/llm-provider';

/** Numbers in one answer of a provider: each takes some twenty bytes, and a plugin's answer is bounded in values. */
export const MOST_NUMBERS = 200_000;
/** How long the vectors are is known only when the first ones have come. */
const FIRST = 16;

type Embedded = Pick<EmbedOutput, 'embeddings' | 'usage'>;

/**
 * Embeds any number of texts, in several calls where the vectors would not fit into one answer. `onLength` is told how
 * long the vectors are before more are asked for, and may throw.
 */
export async function embedInBatches(
  texts: readonly string[],
  ask: (batch: string[]) => Promise<Embedded>,
  onLength: (length: number) => void = () => {},
): Promise<Embedded> {
  const embeddings: number[][] = [];
  let promptTokens: number | undefined = 0;
  let size = FIRST;
  while (embeddings.length < texts.length) {
    const batch = texts.slice(embeddings.length, embeddings.length + size);
    const output = await ask(batch);
    if (output.embeddings.length !== batch.length) {
      const made = output.embeddings.length;
      throw new AtollError('UPSTREAM_BAD_ANSWER', `The provider made ${made} embeddings of ${batch.length} texts.`);
    }
    if (embeddings.length === 0) {
      const length = output.embeddings[0]?.length ?? 0;
      onLength(length);
      size = Math.max(1, Math.floor(MOST_NUMBERS / Math.max(1, length)));
    }
    embeddings.push(...output.embeddings);
    // A sum without one of its parts would say too little.
    promptTokens = output.usage && promptTokens !== undefined ? promptTokens + output.usage.promptTokens : undefined;
  }
  return { embeddings, ...(promptTokens !== undefined && { usage: { promptTokens } }) };
}
