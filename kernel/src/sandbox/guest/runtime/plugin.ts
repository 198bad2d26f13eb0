import type { Handoff, PluginDefinition } from '@atoll/plugin-sdk';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { ReceiveMeta, SetupMeta, SetupReplyMeta } from '../../protocol/messages.js';
import { createCache } from './cache.js';
import { createEvents, createLog, createMetrics, createSecrets, createWs, logLine } from './capabilities.js';
import { stringifyResult } from './errors.js';
import { createHttp } from './http.js';
import { handle } from './inbound.js';
import { ask } from './outbound.js';
import { createJobs } from './jobs.js';
import { createServices } from './services.js';
import { createStorage } from './storage.js';

/** Answers the kernel's `setup`, `health` and `stop`. */
export function installPlugin(): void {
  const health: (() => unknown)[] = [];
  const stop: (() => unknown)[] = [];
  let handoff: Handoff<unknown> | undefined;

  handle('setup', async (call) => {
    const { plugin, config } = call.meta as SetupMeta;
    const registrations: Promise<unknown>[] = [];
    let isSetUp = false;
    const register = (method: string, registration: object) => {
      const done = ask(method, registration);
      if (!isSetUp) registrations.push(done);
      // Setup reports the failure; nobody waits for what comes later.
      done.catch((error) => isSetUp && logLine('error', `${method} after the setup failed: ${String(error)}`));
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
      cache: createCache(),
      ...createJobs(register),
      log: createLog(),
      metrics: createMetrics(),
      lifecycle: {
        onHealth: (check: () => unknown) => health.push(check),
        onStop: (callback: () => unknown) => stop.push(callback),
        onHandoff: (given: Handoff<unknown>) => {
          handoff = checkedHandoff(given, handoff);
        },
      },
    } as unknown as Parameters<PluginDefinition['setup']>[0]);
    await Promise.all(registrations);
    isSetUp = true;
    return { meta: { handoff: describeHandoff(handoff) } satisfies SetupReplyMeta };
  });

  handle('give', async () => {
    const state = await handoff?.give?.();
    return { body: stringifyResult(state ?? null, 'The state that is handed over') };
  });

  handle('receive', async (call) => {
    const { version } = call.meta as ReceiveMeta;
    await handoff?.receive?.({ version, state: call.json });
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

function checkedHandoff(given: Handoff<unknown>, before: Handoff<unknown> | undefined): Handoff<unknown> {
  if (before) throw new TypeError('lifecycle.onHandoff() can be called once.');
  if (!Number.isSafeInteger(given?.version))
    throw new TypeError('lifecycle.onHandoff() needs a `version`, an integer.');
  return given;
}

function describeHandoff(handoff: Handoff<unknown> | undefined): SetupReplyMeta['handoff'] {
  if (!handoff) return null;
  const { version, give, receive } = handoff;
  return { version, gives: typeof give === 'function', receives: typeof receive === 'function' };
}

function findDefinition(): PluginDefinition {
  const exported = (globalThis as { __atollPlugin?: { default?: unknown } }).__atollPlugin;
  const definition = exported?.default as PluginDefinition | undefined;
  if (typeof definition?.setup !== 'function') {
    throw new AtollError('PLUGIN_START_FAILED', 'The entry file has no `export default definePlugin(…)`.');
  }
  return definition;
}
