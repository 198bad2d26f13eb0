import type { ModelInfo, ModelList } from '@atoll/plugin-sdk/services/llm-provider';
import type { Connection } from './connection.js';
import { badAnswer } from './errors.js';

const LIST_MS = 3_000;

/** The server's models; none, at once, when there is nothing to ask with. What they can do is not known from here. */
export async function listModels(connection: Connection, signal: AbortSignal): Promise<ModelList> {
  if (!(await connection.configured())) return { models: [] };
  const answer = await connection.json('/models', undefined, AbortSignal.any([signal, AbortSignal.timeout(LIST_MS)]));
  if (!Array.isArray(answer.data)) throw badAnswer('answered /models without a list.');
  return { models: (answer.data as { id?: unknown; created?: unknown; owned_by?: unknown }[]).flatMap(toModel) };
}

function toModel({ id, created, owned_by }: { id?: unknown; created?: unknown; owned_by?: unknown }): ModelInfo[] {
  if (typeof id !== 'string') return [];
  return [
    {
      id,
      ...(Number.isInteger(created) && { created: created as number }),
      ...(typeof owned_by === 'string' && { ownedBy: owned_by }),
    },
  ];
}
