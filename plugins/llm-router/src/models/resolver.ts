import { AtollError } from '@atoll/plugin-sdk';
import { codedError } from '@atoll/plugin-sdk/services/llm-provider';
import type { Config } from '../config.js';
import type { Catalog, CatalogEntry, Catalogs } from './catalog.js';
import { LONGEST_NAME, nearest, shortName } from './names.js';

/** Where a request goes. `id` is the full name, `model` the provider's own. */
export interface Target {
  plugin: string;
  model: string;
  id: string;
}

export type Purpose = 'chat' | 'embed';

const LAST_RESORT = 'provider-builtin';

/** Finds the model behind a name: an alias, `provider/model`, or a bare name that exactly one provider lists. */
export class Resolver {
  constructor(
    private readonly config: Config,
    private readonly catalogs: Catalogs,
  ) {}

  async resolve(name: string | undefined, purpose: Purpose, signal?: AbortSignal): Promise<Target> {
    const fixed = purpose === 'chat' ? this.config.defaultModel : this.config.defaultEmbeddingModel;
    const wanted = name ?? fixed;
    if (wanted === undefined) return this.#automatic(signal);
    if (wanted.length > LONGEST_NAME)
      throw new AtollError('MODEL_NOT_FOUND', `No model has a name of more than ${LONGEST_NAME} characters.`);
    const { aliases } = this.config;
    const meant = Object.hasOwn(aliases, wanted) ? aliases[wanted]! : wanted;
    return (await this.#byProvider(meant)) ?? (await this.#bare(meant, signal));
  }

  /** The given error, with near names when it is about an unknown model. */
  async explain(error: unknown, { id }: Target, signal?: AbortSignal): Promise<unknown> {
    const known = codedError(error);
    if (known?.code !== 'MODEL_NOT_FOUND') return error;
    const catalog = await this.catalogs.all(signal).catch(() => undefined);
    return new AtollError(
      'MODEL_NOT_FOUND',
      withSuggestions(`The model "${id}" does not exist. ${known.message}`, id, catalog),
    );
  }

  /**
   * `provider/model`, with or without the `provider-` of the plugin id. Whether the model exists is the provider's to
   * say.
   */
  async #byProvider(name: string): Promise<Target | undefined> {
    const slash = name.indexOf('/');
    if (slash <= 0 || slash === name.length - 1) return undefined;
    const prefix = name.slice(0, slash);
    const plugins = await this.catalogs.providers();
    const candidates = [prefix, `provider-${prefix}`];
    const plugin = candidates.find((id) => plugins.includes(id));
    if (plugin !== undefined) return toTarget(plugin, name.slice(slash + 1));
    const gone = candidates.find((id) => this.catalogs.hasSeen(id));
    if (gone !== undefined || this.#isConfigured(name)) throw notRunning(gone ?? candidates[1]!, name);
    return undefined;
  }

  /** The operator has named it, so its provider is meant to be there. */
  #isConfigured(name: string): boolean {
    const { aliases, defaultModel, defaultEmbeddingModel } = this.config;
    return [...Object.values(aliases), defaultModel, defaultEmbeddingModel].includes(name);
  }

  async #bare(name: string, signal?: AbortSignal): Promise<Target> {
    const catalog = await this.catalogs.all(signal);
    const { entries } = catalog;
    const exact = entries.filter(({ info }) => info.id === name);
    // Ollama lists `llama3.2:latest` for what everybody calls `llama3.2`.
    const found = exact.length > 0 ? exact : entries.filter(({ info }) => info.id === `${name}:latest`);
    if (found.length === 1) return toTarget(found[0]!.plugin, found[0]!.info.id);
    if (found.length > 1) {
      const names = found.map(({ id }) => `"${id}"`).join(' or ');
      throw new AtollError('MODEL_NOT_FOUND', `Several providers have "${name}"; say ${names}.`);
    }
    const gone = await this.catalogs.goneWith(name);
    if (gone !== undefined) throw notRunning(gone, name);
    throw new AtollError('MODEL_NOT_FOUND', withSuggestions(`The model "${name}" does not exist.`, name, catalog));
  }

  /** The first model that is known to chat; the built-in answerer only when there is nothing better. */
  async #automatic(signal?: AbortSignal): Promise<Target> {
    const { entries } = await this.catalogs.all(signal);
    const able = entries.filter(({ info }) => info.capabilities?.includes('chat'));
    const chosen: CatalogEntry | undefined = able.find(({ plugin }) => plugin !== LAST_RESORT) ?? able[0];
    if (chosen) return toTarget(chosen.plugin, chosen.info.id);
    throw new AtollError(
      'MODEL_NOT_FOUND',
      'No provider lists a model that is known to chat; name one, or set defaultModel of llm-router.',
    );
  }
}

const toTarget = (plugin: string, model: string): Target => ({ plugin, model, id: `${shortName(plugin)}/${model}` });

/** The model exists, as far as anybody knows; the plugin that has it does not run at the moment. */
function notRunning(plugin: string, name: string): AtollError {
  return new AtollError(
    'PLUGIN_NOT_ACTIVE',
    `"${name}" can't be asked: the plugin "${plugin}" does not run. GET /api/v1/plugins/${plugin} says why.`,
  );
}

function withSuggestions(detail: string, name: string, catalog: Catalog | undefined): string {
  const near = nearest(name, catalog?.entries.map(({ id }) => id) ?? []);
  const silent = [...(catalog?.failures.keys() ?? [])].map(shortName);
  return [
    detail,
    ...(near.length > 0 ? [`Did you mean ${near.map((id) => `"${id}"`).join(' or ')}?`] : []),
    ...(silent.length > 0 ? [`Could not ask: ${silent.join(', ')}.`] : []),
  ].join(' ');
}
