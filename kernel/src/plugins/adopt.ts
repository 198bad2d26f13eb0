import type { PluginFolder } from '@atoll/registry';
import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/index.js';
import type { PluginRecord } from './record.js';
import type { Reconciler } from './reconciler.js';
import type { PluginChange, PluginSet } from './plugin-set.js';
import type { DesiredState } from './state-store.js';
import type { SwapOptions } from './types.js';

/** What another node has decided that all of them run. */
export interface Decided {
  /** Installed versions that this node does not run yet. */
  installed: readonly (SwapOptions & { folder: PluginFolder })[];
  /** Ids of what is no longer installed. */
  removed: readonly string[];
  states: ReadonlyMap<string, DesiredState>;
}

export interface AdoptDeps {
  reconciler: Reconciler;
  set: PluginSet;
  config: Config;
}

/**
 * Brings the plugins of this node to what was decided elsewhere, as far as it goes: what can't be taken over stays as it is, and the
 * result says why, by plugin.
 */
export async function adopt({ reconciler, set, config }: AdoptDeps, decided: Decided): Promise<Map<string, string>> {
  const problems = new Map<string, string>();
  await reconciler.exclusive(async () => {
    for (const { id } of [
      ...decided.removed.map((one) => ({ id: one })),
      ...decided.installed.map((one) => one.folder.manifest),
    ])
      endCanary(reconciler.records.get(id));
    for (const id of decided.removed) await attempt(id, { id });
    // What an earlier one needs may come later; then it works the second time.
    const late: Decided['installed'][number][] = [];
    for (const one of decided.installed) if (!(await bringIn(one))) late.push(one);
    for (const one of late) await bringIn(one);
    for (const [id, record] of reconciler.records) {
      const problem = await settle(reconciler, record, decided.states.get(id) ?? byConfiguration(config, id));
      if (problem !== undefined) problems.set(id, problem);
    }
    await reconciler.reconcile();
  });
  return problems;

  function bringIn({ folder, ...options }: Decided['installed'][number]): Promise<boolean> {
    const { id } = folder.manifest;
    return attempt(id, { id, folder }, options);
  }

  async function attempt(id: string, change: PluginChange, options: SwapOptions = {}): Promise<boolean> {
    try {
      await set.applyAlone(change, options);
      problems.delete(id);
      return true;
    } catch (error) {
      problems.set(id, textOf(error));
      return false;
    }
  }
}

/** Resolves with the reason when the plugin can't run with its new configuration. */
async function settle(
  reconciler: Reconciler,
  record: PluginRecord,
  { desired, config, generation = 0 }: DesiredState,
): Promise<string | undefined> {
  const renewed = generation > (record.generation ?? 0);
  record.desired = desired;
  if (!isDeepStrictEqual(config, record.storedConfig)) {
    const before = record.storedConfig;
    endCanary(record);
    setConfig(record, config);
    try {
      reconciler.effectiveConfig(record, record.folder);
      if (record.instance && desired === 'enabled')
        reconciler.tellSwapped([await reconciler.swap(record, record.folder)]);
    } catch (error) {
      setConfig(record, before);
      return textOf(error);
    }
  }
  record.generation = generation;
  if (renewed && desired === 'enabled') reconciler.forgive(record);
  return undefined;
}

/** It was decided elsewhere what runs: what is tried here against it is over. */
const endCanary = (record: PluginRecord | undefined): void =>
  record?.canary?.rollBack('What runs was changed on another node.');

export function setConfig(record: PluginRecord, config: Record<string, unknown> | undefined): void {
  if (config) record.storedConfig = config;
  else delete record.storedConfig;
}

const byConfiguration = ({ plugins }: Config, id: string): DesiredState => ({
  desired: plugins.disabled.includes(id) ? 'disabled' : 'enabled',
});

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
