import semver from 'semver';
import type { PluginManifest } from '../manifest.js';
import { isChoosable, type StoredVersion } from '../store/catalogue.js';
import type { Channel } from '../store/index-document.js';

/** One version of a plugin that could be installed, as the resolution sees it. */
export interface Candidate {
  id: string;
  version: string;
  manifest: PluginManifest;
  /** Why it must not be chosen anew; what is installed may stay. */
  excluded?: string;
  deprecated?: string;
  /** Without one, pre-releases count as `next`. */
  channel?: Channel;
  /** SHA-512 of its package, SRI form. */
  integrity?: string;
  /** Name of the source that has it, when it is not in the store yet. */
  source?: string;
}

export const nameOf = ({ id, version }: Pick<Candidate, 'id' | 'version'>): string => `${id} ${version}`;

/** Whether a version is only for those who want to be ahead. */
export const isAhead = ({ version, channel }: Pick<Candidate, 'version' | 'channel'>): boolean =>
  channel === undefined ? semver.prerelease(version) !== null : channel === 'next';

/** The versions of a store whose manifests are known. */
export function candidatesOf(versions: readonly StoredVersion[]): Candidate[] {
  return versions.flatMap((stored) => {
    if (!stored.facts) return [];
    const { id, version, integrity, channel, facts, deprecated } = stored;
    const excluded = isChoosable(stored) ? undefined : whyNot(stored);
    return [
      {
        id,
        version,
        manifest: facts.manifest,
        integrity,
        channel,
        ...(excluded !== undefined && { excluded }),
        ...(deprecated && { deprecated: deprecated.reason }),
      },
    ];
  });
}

function whyNot({ quarantined, yanked }: StoredVersion): string {
  if (quarantined) return `is quarantined: ${quarantined}`;
  return yanked ? `was yanked: ${yanked.reason}` : 'is damaged in the store';
}

/** Whether two lists of mounts have one that lies in the other; the pair, for the message. */
export function overlappingMounts(ours: readonly string[], theirs: readonly string[]): [string, string] | undefined {
  for (const our of ours) {
    const their = theirs.find((one) => one === our || one.startsWith(`${our}/`) || our.startsWith(`${one}/`));
    if (their !== undefined) return [our, their];
  }
  return undefined;
}

/** Range of a record for a key that is the record's own. */
export const rangeFor = (ranges: Readonly<Record<string, string>>, key: string): string | undefined =>
  Object.hasOwn(ranges, key) ? ranges[key] : undefined;

/** Whether a candidate provides a service in a version that fits. */
export function providesService({ manifest: { provides } }: Candidate, service: string, range: string): boolean {
  const version = rangeFor(provides, service);
  return version !== undefined && semver.satisfies(version, range);
}
