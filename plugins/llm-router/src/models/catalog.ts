import type { Log, Services } from '@atoll/plugin-sdk';
import { llmProvider, type ModelInfo } from '@atoll/plugin-sdk/services/llm-provider';
import { shortName } from './names.js';

/** A model with the provider that has it. `id` is `provider/model`. */
export interface CatalogEntry {
  id: string;
  plugin: string;
  info: ModelInfo;
}

export interface Catalog {
  entries: CatalogEntry[];
  /** Providers that could not be asked, and why. */
  failures: Map<string, string>;
}

/** A provider that is slower than this is left out of the list rather than holding it up. */
const LIST_MS = 4_000;
const KEPT_MS = 5_000;

/** All models of all providers, asked at the same time. */
export class Catalogs {
  readonly #kept = new Map<string, { at: number; models?: ModelInfo[]; failure?: string }>();
  /** All providers that have ever been there. */
  readonly #seen = new Set<string>();

  constructor(
    private readonly services: Services,
    private readonly log: Log,
  ) {}

  async providers(): Promise<string[]> {
    const providers = await this.services.providers(llmProvider.name);
    const plugins = providers.map(({ plugin }) => plugin).sort();
    for (const plugin of plugins) this.#seen.add(plugin);
    return plugins;
  }

  /** Whether a provider has been there; it may have gone. */
  hasSeen(plugin: string): boolean {
    return this.#seen.has(plugin);
  }

  /** The provider that listed a model when it was last there, if it has gone since. */
  async goneWith(model: string): Promise<string | undefined> {
    const running = await this.providers();
    const lists = [...this.#kept].filter(([plugin]) => !running.includes(plugin));
    return lists.find(([, { models = [] }]) => models.some(({ id }) => id === model || id === `${model}:latest`))?.[0];
  }

  async all(signal?: AbortSignal): Promise<Catalog> {
    const plugins = await this.providers();
    const lists = await Promise.all(plugins.map((plugin) => this.#listOf(plugin, signal)));
    const catalog: Catalog = { entries: [], failures: new Map() };
    lists.forEach(({ models = [], failure }, index) => {
      const plugin = plugins[index]!;
      if (failure !== undefined) catalog.failures.set(plugin, failure);
      for (const info of models) catalog.entries.push({ id: `${shortName(plugin)}/${info.id}`, plugin, info });
    });
    return catalog;
  }

  /** Values are kept, not promises: a call that is cancelled must not take another's answer with it. */
  async #listOf(plugin: string, signal?: AbortSignal): Promise<{ models?: ModelInfo[]; failure?: string }> {
    const kept = this.#kept.get(plugin);
    if (kept && performance.now() - kept.at < KEPT_MS) return kept;
    let answer: { models?: ModelInfo[]; failure?: string };
    try {
      answer = await this.services
        .use(llmProvider, { provider: plugin })
        .models(undefined, { timeoutMs: LIST_MS, signal });
    } catch (error) {
      signal?.throwIfAborted();
      answer = { failure: error instanceof Error ? error.message : String(error) };
      this.log.warn({ provider: plugin, error: answer.failure }, 'a provider does not list its models');
    }
    this.#kept.set(plugin, { ...answer, at: performance.now() });
    return answer;
  }
}
