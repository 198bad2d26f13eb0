import { AtollError } from '@atoll/plugin-sdk/contract';
import { type GraphNode, type PluginManifest, planStart } from '@atoll/registry';
import semver from 'semver';
import { KERNEL_VERSION } from '../version.js';

/** Why a plugin is not for this kernel, if it is not. */
export function engineProblem({ id, engine }: PluginManifest): AtollError | undefined {
  if (semver.satisfies(KERNEL_VERSION, engine)) return undefined;
  return new AtollError('MANIFEST_INVALID', `"${id}" needs the kernel ${engine}; this is ${KERNEL_VERSION}.`);
}

/**
 * Throws when a new version could not run among the others, or they not with it. `able` are the plugins that could run, its running
 * version among them; `installed` are all.
 */
export function assertFits(
  manifest: PluginManifest,
  able: readonly GraphNode[],
  installed: readonly GraphNode[],
): void {
  const problem = engineProblem(manifest);
  if (problem) throw problem;
  const { id } = manifest;
  const before = planStart(able, installed).pending;
  const after = planStart(
    able.map((node) => (node.id === id ? manifest : node)),
    installed,
  ).pending;
  const reason = after.get(id);
  if (reason !== undefined) throw new AtollError('DEPENDENCY_CONFLICT', `"${id}" ${reason}.`);
  const stranded = [...after].find(([other]) => !before.has(other));
  if (stranded) throw new AtollError('PLUGIN_NEEDED', `With this version of "${id}", "${stranded[0]}" ${stranded[1]}.`);
}
