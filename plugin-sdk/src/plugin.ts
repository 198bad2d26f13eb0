import type { Cache } from './cache.js';
import type { Events, Lifecycle, Log, Metrics, Secrets, Ws } from './capabilities.js';
import type { Http } from './http.js';
import type { Jobs, Schedule } from './jobs.js';
import type { Services } from './services.js';
import type { Storage } from './storage.js';

/** What a plugin's setup gets: its capabilities. What the manifest has no permission for refuses with PERMISSION_DENIED. */
export interface PluginContext<Config = Record<string, unknown>> {
  readonly plugin: { readonly id: string; readonly version: string };
  /** The checked configuration, defaults filled in. */
  readonly config: Readonly<Config>;
  readonly http: Http;
  readonly ws: Ws;
  readonly events: Events;
  readonly services: Services;
  readonly secrets: Secrets;
  readonly storage: Storage;
  readonly cache: Cache;
  readonly jobs: Jobs;
  readonly schedule: Schedule;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly lifecycle: Lifecycle;
}

export interface PluginDefinition<Config = Record<string, unknown>> {
  readonly setup: (context: PluginContext<Config>) => void | Promise<void>;
}

/** Declares a plugin; export the result as the default export of the entry file. */
export function definePlugin<Config = Record<string, unknown>>(
  setup: (context: PluginContext<Config>) => void | Promise<void>,
): PluginDefinition<Config> {
  return { setup };
}
