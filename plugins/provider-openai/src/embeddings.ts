import { countOf, type EmbedInput, type EmbedOutput, listOf } from '@atoll/plugin-sdk/services/llm-provider';
import type { Connection } from './connection.js';
import { badAnswer, reportedError } from './errors.js';

export async function embed(connection: Connection, input: EmbedInput, signal: AbortSignal): Promise<EmbedOutput> {
  const { model, dimensions } = input;
  const body = { model, input: input.input, encoding_format: 'float', ...(dimensions !== undefined && { dimensions }) };
  const answer = await connection.json('/embeddings', body, signal);
  if (answer.error) throw reportedError(answer);
  const rows = listOf<{ index?: unknown; embedding?: unknown } | null>(answer.data);
  if (rows.length !== input.input.length)
    throw badAnswer(`answered ${input.input.length} texts with ${rows.length} embeddings.`);
  const ordered = rows
    .map((row, at) => ({ at: countOf(row?.index) ?? at, vector: toVector(row?.embedding) }))
    .sort((a, b) => a.at - b.at);
  const promptTokens = countOf((answer.usage as { prompt_tokens?: unknown } | null | undefined)?.prompt_tokens);
  return {
    model,
    embeddings: ordered.map(({ vector }) => vector),
    ...(promptTokens !== undefined && { usage: { promptTokens } }),
  };
}

/** Some servers send base64 (little-endian 32-bit floats) whatever was asked. */
export function toVector(embedding: unknown): number[] {
  if (Array.isArray(embedding) && embedding.every((value) => typeof value === 'number')) return embedding;
  if (typeof embedding !== 'string') throw badAnswer('sent an embedding that is no list of numbers.');
  let binary: string;
  try {
    binary = atob(embedding);
  } catch {
    throw badAnswer('sent an embedding that is no base64.');
  }
  if (binary.length % 4 !== 0) throw badAnswer('sent an embedding of a broken length.');
  const bytes = Uint8Array.from(binary, (sign) => sign.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(index * 4, true));
}
