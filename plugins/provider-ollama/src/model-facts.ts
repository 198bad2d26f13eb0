import { AtollError, type Log } from '@atoll/plugin-sdk';
import { codedError } from '@atoll/plugin-sdk/services/llm-provider';
import { ask } from './connection.js';
import { type Config, settingsOf, withoutLatest } from './config.js';
import { LEAST_CONTEXT } from './context.js';

/** What Ollama knows of a model; what it does not tell is absent. */
export interface ModelFacts {
  capabilities?: readonly string[];
  family?: string;
  /** Longest context the model was trained for. */
  maxContext?: number;
  /** num_ctx of the model's Modelfile. */
  ownContext?: number;
  /** Its system message. */
  system?: string;
}

const KEPT_MS = 300_000;
const SHOW_MS = 15_000;
const PS_MS = 3_000;

/** Asks `/api/show` once per model and keeps the answer for a while. */
export class ModelFactsCache {
  readonly #kept = new Map<string, { at: number; facts: ModelFacts }>();

  constructor(
    private readonly config: Config,
    private readonly log: Log,
  ) {}

  async of(model: string, signal: AbortSignal): Promise<ModelFacts> {
    const kept = this.#kept.get(model);
    if (kept && performance.now() - kept.at < KEPT_MS) return kept.facts;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(SHOW_MS)]);
      const facts = toFacts(await ask(this.config.host, limit, (client) => client.show({ model })));
      if (this.#kept.size >= 1000) this.#kept.clear();
      this.#kept.set(model, { at: performance.now(), facts });
      return facts;
    } catch (error) {
      const code = codedError(error)?.code;
      if (signal.aborted || code === 'MODEL_NOT_FOUND' || code === 'UPSTREAM_UNREACHABLE' || code === 'UPSTREAM_BUSY')
        throw error;
      // The chat itself can still work, with less known about the model.
      this.log.warn({ model, error: String(error) }, 'Ollama does not describe this model');
      return {};
    }
  }

  /** The context the model runs with, as far as it can be known without loading it. */
  async contextOf(model: string, facts: ModelFacts, signal: AbortSignal): Promise<number | undefined> {
    const running = this.#pinnedContext(model, facts) ?? (await this.#loadedContext(model, signal));
    return running === undefined ? facts.maxContext : Math.min(running, facts.maxContext ?? running);
  }

  /** What it has at least: nothing needs to be asked for a shorter prompt. */
  leastContextOf(model: string, facts: ModelFacts): number {
    return Math.min(this.#pinnedContext(model, facts) ?? LEAST_CONTEXT, facts.maxContext ?? Infinity);
  }

  #pinnedContext(model: string, { ownContext }: ModelFacts): number | undefined {
    const { num_ctx } = settingsOf(this.config, model).options;
    return typeof num_ctx === 'number' ? num_ctx : ownContext;
  }

  /** `/api/ps` waits while a model is being loaded, so it gets little time; not knowing is no failure. */
  async #loadedContext(model: string, signal: AbortSignal): Promise<number | undefined> {
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(PS_MS)]);
      const { models } = await ask(this.config.host, limit, (client) => client.ps());
      const loaded = models.find(({ name }) => withoutLatest(name) === withoutLatest(model));
      return asCount((loaded as { context_length?: unknown } | undefined)?.context_length);
    } catch (error) {
      if (signal.aborted) throw error;
      return undefined;
    }
  }
}

interface Shown {
  capabilities?: unknown;
  details?: { family?: string };
  model_info?: Record<string, unknown>;
  parameters?: unknown;
  system?: unknown;
}

function toFacts(answer: unknown): ModelFacts {
  const shown = (answer ?? {}) as Shown;
  const { capabilities, details, model_info = {}, parameters, system } = shown;
  const lengthKey = Object.keys(model_info ?? {}).find((key) => key.endsWith('.context_length'));
  const written = typeof parameters === 'string' ? /^num_ctx\s+(\d+)/m.exec(parameters)?.[1] : undefined;
  const maxContext = lengthKey === undefined ? undefined : asCount(model_info[lengthKey]);
  return {
    ...(Array.isArray(capabilities) && { capabilities: capabilities.map(String) }),
    ...(details?.family !== undefined && { family: details.family }),
    ...(maxContext !== undefined && { maxContext }),
    ...(written !== undefined && { ownContext: Number(written) }),
    ...(typeof system === 'string' && { system }),
  };
}

const asCount = (value: unknown): number | undefined => (typeof value === 'number' && value > 0 ? value : undefined);

const EFFORTS: Record<string, string> = {
  minimal: 'low',
  low: 'low',
  medium: 'medium',
  high: 'high',
  xhigh: 'high',
  max: 'max',
};

/**
 * The `think` to send. Ollama turns thinking on when it is left out, and refuses `true` for models that cannot; so a
 * thinking model is told `false` unless the request asks for it, and other models are told nothing.
 */
export function thinkOf(
  asked: boolean | string | undefined,
  facts: ModelFacts,
  model: string,
): boolean | string | undefined {
  const wanted = asked !== undefined && asked !== false && asked !== 'none';
  if (!facts.capabilities) return asked === undefined ? undefined : wanted;
  const able = facts.capabilities.includes('thinking');
  if (!wanted) return able ? false : undefined;
  if (!able) throw new AtollError('UNSUPPORTED', `The model "${model}" cannot reason; leave reasoning_effort out.`);
  // Only this family knows degrees; the others can reason or not.
  return typeof asked === 'string' && /gpt-?oss/.test(facts.family ?? '') ? (EFFORTS[asked] ?? true) : true;
}
