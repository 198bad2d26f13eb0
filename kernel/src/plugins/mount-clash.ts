import { AtollError } from '@atoll/plugin-sdk/contract';
import { overlappingMounts, type PluginFolder } from '@atoll/registry';
import { manifestOf, type PluginRecord } from './record.js';

/** Why a plugin can't be beside the others: a mount of it lies in one of theirs, or the other way round. */
export function mountClash(
  { manifest }: PluginFolder,
  others: Iterable<PluginRecord>,
  except?: PluginRecord,
): AtollError | undefined {
  for (const other of others) {
    if (other === except) continue;
    const pair = overlappingMounts(manifest.mounts, manifestOf(other).mounts);
    if (!pair) continue;
    const [ours, theirs] = pair;
    const whose = `${theirs} of "${manifestOf(other).id}"`;
    return new AtollError('PLUGIN_CLASH', `"${manifest.id}" mounts ${ours}, which clashes with ${whose}.`);
  }
  return undefined;
}
