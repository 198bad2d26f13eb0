import semver from 'semver';
import type { PackageFacts } from './facts.js';
import type { Channel, VersionRecord } from './index-document.js';
import { SearchIndex, type SearchPage, type SearchQuery } from './search.js';

/** One version in the store, with everything that is known of it. */
export interface StoredVersion extends VersionRecord {
  id: string;
  name: string;
  version: string;
  publisher: string;
  /** Whether an operator trusts the key that signed it. */
  verified: boolean;
  /** Why it must not be given out. */
  quarantined?: string;
  /** Its tarball is missing or cut off; publishing or fetching it again heals that. */
  damaged?: true;
  /** Absent when it is damaged and nothing was remembered. */
  facts?: PackageFacts;
}

export interface PluginListing {
  id: string;
  name: string;
  publisher: string;
  /** The newest version of each channel that may be chosen. */
  channels: Partial<Record<Channel, string>>;
  /** Newest first. */
  versions: readonly StoredVersion[];
}

/** Whether a version may be chosen anew. */
export const isChoosable = ({ yanked, quarantined, damaged, facts }: StoredVersion): boolean =>
  !yanked && !quarantined && !damaged && facts !== undefined;

/** What the store holds at one moment. A value: it does not change. */
export class Catalogue {
  readonly #plugins: ReadonlyMap<string, PluginListing>;
  #search: SearchIndex | undefined;

  constructor(versions: readonly StoredVersion[]) {
    const byId = Map.groupBy(versions, ({ id }) => id);
    const ids = [...byId.keys()].sort();
    this.#plugins = new Map(ids.map((id) => [id, listingOf(byId.get(id)!)]));
  }

  /** Sorted by id. */
  list(): PluginListing[] {
    return [...this.#plugins.values()];
  }

  get(id: string): PluginListing | undefined {
    return this.#plugins.get(id);
  }

  version(id: string, version: string): StoredVersion | undefined {
    return this.get(id)?.versions.find((one) => one.version === version);
  }

  versions(): StoredVersion[] {
    return this.list().flatMap((listing) => listing.versions);
  }

  /** Full text, filters and facets over the plugins that can be installed. Throws BAD_REQUEST for a foreign cursor. */
  search(query: SearchQuery = {}): SearchPage {
    this.#search ??= new SearchIndex(this.list());
    return this.#search.search(query);
  }
}

function listingOf(versions: readonly StoredVersion[]): PluginListing {
  const sorted = [...versions].sort((a, b) => semver.rcompare(a.version, b.version));
  const { id, name, publisher } = sorted[0]!;
  const newest = (channels: readonly Channel[]) =>
    sorted.find((one) => channels.includes(one.channel) && isChoosable(one))?.version;
  // Who follows `next` wants to be ahead, and is not when the stable line has overtaken.
  const [latest, next] = [newest(['latest']), newest(['latest', 'next'])];
  const channels = { ...(latest !== undefined && { latest }), ...(next !== undefined && { next }) };
  return { id, name, publisher, channels, versions: sorted };
}
