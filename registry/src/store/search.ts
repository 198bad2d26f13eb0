import { AtollError } from '@atoll/plugin-sdk/contract';
import MiniSearch from 'minisearch';
import semver from 'semver';
import { type PermissionKind, permissionKinds } from '../permissions.js';
import type { PluginListing, StoredVersion } from './catalogue.js';

export interface SearchQuery {
  /** Words; the last may be cut short, and small mistakes are forgiven. */
  q?: string;
  category?: string;
  /** Only plugins signed with a key that an operator trusts, or only others. */
  verified?: boolean;
  /** They ask for all of these. */
  permissions?: readonly PermissionKind[];
  /** They ask for none of these. */
  withoutPermissions?: readonly PermissionKind[];
  /** A kernel version: only plugins that run on it. */
  compatibleWith?: string;
  /** 1 to 100; 20 without it. */
  limit?: number;
  /** `nextCursor` of the page before. */
  cursor?: string;
}

export interface SearchHit {
  id: string;
  name: string;
  title: string;
  description?: string;
  category: string;
  keywords: readonly string[];
  /** The version that installing would take. */
  version: string;
  publisher: string;
  verified: boolean;
  permissions: PermissionKind[];
  engine: string;
  publishedAt: string;
  deprecated?: string;
}

/** Value → number of plugins that would be found with it, all other filters being as they are. */
export interface Facets {
  category: Record<string, number>;
  verified: Record<'true' | 'false', number>;
  permissions: Record<string, number>;
  compatible?: Record<'true' | 'false', number>;
}

export interface SearchPage {
  items: SearchHit[];
  total: number;
  facets: Facets;
  nextCursor?: string;
}

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 100;
const MAX_QUERY_LENGTH = 500;
const README_CHARACTERS = 20_000;

type Filter = (hit: SearchHit) => boolean;
type Ranked = { hit: SearchHit; score: number };

export class SearchIndex {
  readonly #hits = new Map<string, SearchHit>();
  readonly #texts = new MiniSearch<{ id: string } & Record<string, string>>({
    fields: ['plugin', 'title', 'name', 'keywords', 'description', 'category', 'services', 'readme'],
    searchOptions: {
      boost: { plugin: 6, title: 5, name: 4, keywords: 3, services: 3, description: 2, readme: 0.5 },
      prefix: true,
      fuzzy: (term) => (term.length > 3 ? 0.2 : false),
      combineWith: 'AND',
    },
  });

  constructor(listings: readonly PluginListing[]) {
    for (const listing of listings) {
      const version = listing.channels.latest ?? listing.channels.next;
      const stored = listing.versions.find((one) => one.version === version);
      if (stored) this.#add(stored);
    }
  }

  search(query: SearchQuery): SearchPage {
    const limit = Math.min(MAX_LIMIT, Math.max(1, Math.trunc(query.limit ?? DEFAULT_LIMIT)));
    const filters = filtersOf(query);
    const found = this.#find(query.q?.slice(0, MAX_QUERY_LENGTH).trim() ?? '');
    const matching = found.filter(({ hit }) => passes(hit, Object.values(filters)));
    const rest = after(matching, query.cursor);
    const items = rest.slice(0, limit);
    return {
      items: items.map(({ hit }) => hit),
      total: matching.length,
      facets: facetsOf(
        found.map(({ hit }) => hit),
        filters,
        query.compatibleWith,
      ),
      ...(rest.length > limit && { nextCursor: cursorOf(items.at(-1)!) }),
    };
  }

  #add(stored: StoredVersion): void {
    const hit = hitOf(stored);
    const { manifest, readme = '' } = stored.facts!;
    this.#hits.set(hit.id, hit);
    this.#texts.add({
      id: hit.id,
      plugin: hit.id,
      title: hit.title,
      name: hit.name,
      keywords: hit.keywords.join(' '),
      description: hit.description ?? '',
      category: hit.category,
      services: [...Object.keys(manifest.provides), ...Object.keys(manifest.consumes)].join(' '),
      readme: readme.slice(0, README_CHARACTERS),
    });
  }

  /** Best first; without words, by id. */
  #find(words: string): Ranked[] {
    const scores: [string, number][] =
      words === ''
        ? [...this.#hits.keys()].map((id) => [id, 0])
        : this.#texts.search(words).map(({ id, score }) => [String(id), Math.round(score * 1e6) / 1e6]);
    return scores.map(([id, score]) => ({ hit: this.#hits.get(id)!, score })).sort(compare);
  }
}

const compare = (a: Position, b: Position): number =>
  b.score - a.score || (a.hit.id < b.hit.id ? -1 : Number(a.hit.id > b.hit.id));

function hitOf({ id, name, version, publisher, verified, publishedAt, deprecated, facts }: StoredVersion): SearchHit {
  const { manifest, description, keywords } = facts!;
  return {
    id,
    name,
    title: manifest.title,
    ...(description !== undefined && { description }),
    category: manifest.category,
    keywords,
    version,
    publisher,
    verified,
    permissions: permissionKinds(manifest),
    engine: manifest.engine,
    publishedAt,
    ...(deprecated && { deprecated: deprecated.reason }),
  };
}

type Filters = Record<'category' | 'verified' | 'permissions' | 'without' | 'compatible', Filter | undefined>;

const runsOn =
  (kernel: string): Filter =>
  ({ engine }) =>
    semver.satisfies(kernel, engine);

function filtersOf({ category, verified, permissions, withoutPermissions, compatibleWith }: SearchQuery): Filters {
  return {
    category: category === undefined ? undefined : (hit) => hit.category === category,
    verified: verified === undefined ? undefined : (hit) => hit.verified === verified,
    permissions: permissions && ((hit) => permissions.every((kind) => hit.permissions.includes(kind))),
    without: withoutPermissions && ((hit) => !withoutPermissions.some((kind) => hit.permissions.includes(kind))),
    compatible: compatibleWith === undefined ? undefined : runsOn(compatibleWith),
  };
}

const passes = (hit: SearchHit, filters: readonly (Filter | undefined)[]): boolean =>
  filters.every((filter) => filter?.(hit) ?? true);

function facetsOf(hits: readonly SearchHit[], filters: Filters, kernel: string | undefined): Facets {
  const without = (name: keyof Filters) =>
    hits.filter((hit) => passes(hit, Object.values({ ...filters, [name]: undefined })));
  const yesNo = (some: readonly SearchHit[], test: Filter) => {
    const yes = some.filter(test).length;
    return { true: yes, false: some.length - yes };
  };
  return {
    category: count(without('category').map((hit) => hit.category)),
    verified: yesNo(without('verified'), (hit) => hit.verified),
    permissions: count(without('permissions').flatMap((hit) => hit.permissions)),
    ...(kernel !== undefined && { compatible: yesNo(without('compatible'), runsOn(kernel)) }),
  };
}

function count(values: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(values, (value) => value);
  return Object.fromEntries([...groups].map(([value, some]): [string, number] => [value, some.length]).sort());
}

/** Where a page ended: by rank and id, so that plugins that come or go in between move nothing else. */
type Position = { score: number; hit: Pick<SearchHit, 'id'> };

const cursorOf = ({ score, hit }: Position): string =>
  Buffer.from(JSON.stringify([score, hit.id])).toString('base64url');

function after(ranked: readonly Ranked[], cursor: string | undefined): readonly Ranked[] {
  if (cursor === undefined) return ranked;
  const position = positionOf(cursor);
  return ranked.filter((one) => compare(one, position) > 0);
}

function positionOf(cursor: string): Position {
  try {
    const [score, id] = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8')) as [unknown, unknown];
    if (typeof score === 'number' && typeof id === 'string') return { score, hit: { id } };
  } catch {
    // Told below.
  }
  throw new AtollError('BAD_REQUEST', 'The cursor is not one that a page of results had; begin without a cursor.');
}
