import { AtollError, type Http } from '@atoll/plugin-sdk';
import type { Config } from '../config.js';
import type { CatalogEntry } from '../models/catalog.js';
import type { Router } from '../router.js';
import { TAGS } from './limits.js';

export function addModelRoutes(http: Http, router: Router, config: Config): void {
  http.get('/models', { tags: TAGS, summary: 'List the models of all providers' }, async ({ signal }) => {
    const { entries } = await router.catalogs.all(signal);
    const aliases = Object.entries(config.aliases).map(([id, target]) => ({
      ...BARE,
      id,
      owned_by: 'alias',
      root: target,
    }));
    return { object: 'list', data: [...entries.map(toModel), ...aliases] };
  });

  // Ids contain slashes and colons, so the id is all the rest of the path.
  http.get('/models/*id', { tags: TAGS, summary: 'Describe a model' }, async ({ params, signal }) => {
    const id = decode(params.id ?? '');
    const target = await router.resolver.resolve(id, 'chat', signal);
    const { entries } = await router.catalogs.all(signal);
    const names = [target.id, `${target.id}:latest`];
    const entry = entries.find((candidate) => names.includes(candidate.id));
    if (entry) return { ...toModel(entry), id };
    throw await router.resolver.explain(
      new AtollError('MODEL_NOT_FOUND', 'Its provider does not list it.'),
      target,
      signal,
    );
  });
}

const BARE = { object: 'model', created: 0 };

/** OpenAI's fields, and what is known beyond them. */
function toModel({ id, plugin, info }: CatalogEntry) {
  return {
    ...BARE,
    id,
    created: info.created ?? 0,
    owned_by: info.ownedBy ?? plugin,
    ...(info.capabilities && { capabilities: info.capabilities }),
    ...(info.contextLength !== undefined && { context_length: info.contextLength }),
  };
}

/** Clients escape the slash in an id. */
function decode(id: string): string {
  try {
    return decodeURIComponent(id);
  } catch {
    return id;
  }
}
