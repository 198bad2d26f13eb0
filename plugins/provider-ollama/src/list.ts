import type { ModelInfo, ModelList } from '@atoll/plugin-sdk/services/llm-provider';
import { ask } from './connection.js';
import { badAnswer } from './errors.js';

const LIST_MS = 3_000;

/** A row of `/api/tags`; older servers leave the capabilities out. */
interface Tag {
  name?: string;
  modified_at?: string;
  capabilities?: string[];
  details?: { context_length?: number };
}

/** Ollama's words for what a model can do, in those of `llm-provider`. */
const CAPABILITIES: Record<string, string> = {
  completion: 'chat',
  embedding: 'embed',
  tools: 'tools',
  vision: 'vision',
  audio: 'audio',
  thinking: 'thinking',
};

export async function listModels(host: string, signal: AbortSignal): Promise<ModelList> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(LIST_MS)]);
  const answer: unknown = await ask(host, limit, (client) => client.list());
  const { models } = (answer ?? {}) as { models?: unknown };
  if (!Array.isArray(models)) throw badAnswer('answered /api/tags without a list of models.');
  return { models: (models as Tag[]).flatMap(toModel) };
}

function toModel({ name, modified_at, capabilities, details }: Tag): ModelInfo[] {
  if (!name) return [];
  const created = Math.floor(Date.parse(modified_at ?? '') / 1000);
  const length = details?.context_length;
  return [
    {
      id: name,
      ownedBy: 'ollama',
      capabilities: capabilities?.flatMap((word) => CAPABILITIES[word] ?? []) ?? guess(name),
      ...(Number.isFinite(created) && { created }),
      ...(typeof length === 'number' && length > 0 && { contextLength: length }),
    },
  ];
}

/** Without better knowledge, the name tells embedding models from the rest. */
const guess = (name: string): string[] => (/embed|bge-|minilm/i.test(name) ? ['embed'] : ['chat']);
