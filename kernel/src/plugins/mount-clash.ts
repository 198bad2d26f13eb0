import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginFolder } from '@atoll/registry';
import { manifestOf, type PluginRecord } from './record.js';

/** Why a plugin can't be beside the others: a mount of it lies in one of theirs, or the other way round. */
export function mountClash(
  { manifest }: PluginFolder,
  others: Iterable<PluginRecord>,
  except?: PluginRecord,
): AtollError | undefined {
  for (const other of others) {
    if (other === except) continue;
    for (const theirs of manifestOf(other).mounts) {
      const ours = manifest.mounts.find((mount) => overlap(mount, theirs));
      if (ours === undefined) continue;
      const whose = `${theirs} of "${manifestOf(other).id}"`;
      return new AtollError('PLUGIN_CLASH', `"${manifest.id}" mounts ${ours}, which clashes with ${whose}.`);
    }
  }
  return undefined;
}

const overlap = (one: string, other: string) =>
  one === other || one.startsWith(`${other}/`) || other.startsWith(`${one}/`);
