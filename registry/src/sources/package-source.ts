import type { PluginManifest } from '../manifest.js';
import type { Candidate } from '../resolve/candidate.js';

/** A version that a source says it has. What it says is only believed once the package is there. */
export interface OfferedVersion {
  name: string;
  version: string;
  manifest: PluginManifest;
  /** SRI; without SHA-512 in it the version is not offered. */
  integrity: string;
  /** Where its tarball is. */
  tarball: string;
  deprecated?: string;
}

export interface OfferedPlugin {
  name: string;
  version: string;
  description?: string;
}

/** Where packages come from. */
export interface PackageSource {
  readonly name: string;
  /** Names of packages that are plugins, best first. */
  search(words: string, limit?: number): Promise<OfferedPlugin[]>;
  /** All versions of a package that are plugins, newest first; none when the source does not have it. */
  versions(name: string): Promise<OfferedVersion[]>;
  /** The tarball of a version, with the content the source said it has. */
  fetch(offered: OfferedVersion): Promise<Buffer>;
}

/** What a source offers, for the resolution. */
export const offeredCandidate = (
  { manifest, version, integrity, deprecated }: OfferedVersion,
  source: string,
): Candidate => ({
  id: manifest.id,
  version,
  manifest,
  integrity,
  source,
  ...(deprecated !== undefined && { deprecated }),
});
