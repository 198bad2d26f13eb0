import type { PluginDefinition } from '@atoll/plugin-sdk';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { SetupMeta } from '../../protocol/messages.js';
import { createEvents, createLog, createMetrics, createSecrets, createWs } from './capabilities.js';
import { createHttp } from './http.js';
import { handle } from './inbound.js';
import { ask } from './outbound.js';
import { createServices } from './services.js';
import { createStorage } from './storage.js';

/** Answers the kernel's `setup`, `health` and `stop`. */
export function installPlugin(): void {
  const health: (() => unknown)[] = [];
  const stop: (() => unknown)[] = [];

  handle('setup', async (call) => {
    const { plugin, config } = call.meta as SetupMeta;
    const registrations: Promise<unknown>[] = [];
    const register = (method: string, registration: object) => {
      const done = ask(method, registration);
      registrations.push(done);
      // Setup reports the failure; without this the engine would report it as unhandled as well.
      done.catch(() => {});
    };
    await findDefinition().setup({
      plugin,
      config: Object.freeze(config),
      http: createHttp(register),
      ws: createWs(register),
      events: createEvents(register),
      services: createServices(register),
      secrets: createSecrets(),
      storage: createStorage(register),
      log: createLog(),
      metrics: createMetrics(),
      lifecycle: {
        onHealth: (check: () => unknown) => health.push(check),
        onStop: (callback: () => unknown) => stop.push(callback),
      },
    } as unknown as Parameters<PluginDefinition['setup']>[0]);
    await Promise.all(registrations);
    return {};
  });

  handle('health', async () => {
    for (const check of health) {
      if ((await check()) === false) throw new AtollError('PLUGIN_START_FAILED', 'The plugin says it is not healthy.');
    }
    return {};
  });

  handle('stop', async () => {
    for (const callback of stop) await callback();
    return {};
  });
}

function findDefinition(): PluginDefinition {
  const exported = (globalThis as { __atollPlugin?: { default?: unknown } }).__atollPlugin;
  const definition = exported?.default as PluginDefinition | undefined;
  if (typeof definition?.setup !== 'function') {
    throw new AtollError('PLUGIN_START_FAILED', 'The entry file has no `export default definePlugin(…)`.');
  }
  return definition;
}
