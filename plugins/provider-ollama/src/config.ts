export interface ModelSettings {
  options?: Record<string, unknown>;
  keepAlive?: string | number;
}

export interface Config extends ModelSettings {
  host: string;
  models: Record<string, ModelSettings>;
}

/**
 * What goes with every request for a model. Ollama reloads a model when its num_ctx, num_gpu and the like differ from
 * those it was loaded with, so these come from the configuration only and never from a request.
 */
export function settingsOf(
  config: Config,
  model: string,
): { options: Record<string, unknown>; keepAlive?: string | number } {
  const own = config.models[model] ?? config.models[withoutLatest(model)] ?? config.models[`${model}:latest`];
  const keepAlive = own?.keepAlive ?? config.keepAlive;
  return { options: { ...config.options, ...own?.options }, ...(keepAlive !== undefined && { keepAlive }) };
}

export const withoutLatest = (model: string): string => model.replace(/:latest$/, '');
