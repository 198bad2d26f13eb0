import { ENGINE_VERSION } from '@atoll/plugin-sdk/contract';
import { candidatesOf, type PackageStore, type ResolutionPlan, resolve } from '@atoll/registry';
import type { Command } from 'commander';
import { parseSpec } from './store.js';

export interface ResolveFlags {
  kernel: string;
}

export const withKernel = (command: Command): Command =>
  command.option('--kernel <version>', 'version of Atoll that the plugins should run on', ENGINE_VERSION);

/** What an empty server would install for these plugins (`id`, `id@range`, `id@next`). */
export function planFor(store: PackageStore, specs: readonly string[], { kernel }: ResolveFlags): ResolutionPlan {
  const wants = specs.map((spec) => {
    const { name, range } = parseSpec(spec);
    return [name, range ?? 'latest'] as const;
  });
  return resolve({ kernel, candidates: candidatesOf(store.catalogue.versions()), install: Object.fromEntries(wants) });
}

export const planVersions = (
  store: PackageStore,
  specs: readonly string[],
  flags: ResolveFlags,
): { id: string; version: string }[] =>
  Object.entries(planFor(store, specs, flags).result).map(([id, version]) => ({ id, version }));
