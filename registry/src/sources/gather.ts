import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Candidate, candidatesOf } from '../resolve/candidate.js';
import type { ResolutionPlan } from '../resolve/plan.js';
import type { Catalogue } from '../store/catalogue.js';
import type { PackageStore } from '../store/package-store.js';
import { fetchIntoStore } from './fetch-into-store.js';
import { type OfferedVersion, offeredCandidate, type PackageSource } from './package-source.js';

export interface GatherRequest {
  catalogue: Catalogue;
  /** The most trusted first: the first that has an id decides which package it is. */
  sources: readonly PackageSource[];
  /** What is to be installed or upgraded. */
  ids: readonly string[];
}

/** What the store and the sources have for a request, and for what that needs. */
export interface Gathered {
  candidates: Candidate[];
  /** `id@version` → where a candidate that is not in the store can be had. */
  offers: ReadonlyMap<string, Offer>;
  /** Sources that could not be asked: what they have is missing here. */
  problems: { source: string; error: AtollError }[];
}

export interface Offer {
  source: PackageSource;
  offered: OfferedVersion;
}

/** So many packages are looked at for one request; a source that sends one from need to need is not followed for ever. */
const MAX_PACKAGES = 300;
const MAX_HITS = 20;

const key = (id: string, version: string): string => `${id}@${version}`;

/** Asks the sources for plugins, and for what those need in turn. A source that fails is a problem in the result. */
export async function gather({ catalogue, sources, ids }: GatherRequest): Promise<Gathered> {
  const search = new Gathering(catalogue, sources);
  await search.run(ids);
  return search.result();
}

/** Takes everything into the store that a plan needs and that is not there. Throws what fetching and publishing throw. */
export async function fetchPlan(
  store: PackageStore,
  plan: ResolutionPlan,
  { offers }: Pick<Gathered, 'offers'>,
): Promise<void> {
  for (const { id, to } of plan.steps) {
    if (to === undefined || store.catalogue.version(id, to)) continue;
    const offer = offers.get(key(id, to));
    if (!offer) throw new AtollError('VERSION_NOT_FOUND', `Neither the store nor a source has ${id}@${to}.`);
    await fetchIntoStore(store, offer.source, offer.offered);
  }
}

type Need = { kind: 'plugin' | 'service'; name: string };

class Gathering {
  readonly #stored: Candidate[];
  readonly #offers = new Map<string, Offer>();
  /** Id → the package it is: the store's, or that of the first source to have it. */
  readonly #packages: Map<string, string>;
  readonly #asked = new Set<string>();
  readonly #problems = new Map<string, AtollError>();
  readonly #queue: Need[] = [];
  readonly #looked = new Map<string, readonly OfferedVersion[]>();

  constructor(
    catalogue: Catalogue,
    private readonly sources: readonly PackageSource[],
  ) {
    this.#stored = candidatesOf(catalogue.versions());
    this.#packages = new Map(catalogue.list().map(({ id, name }) => [id, name]));
  }

  async run(ids: readonly string[]): Promise<void> {
    for (const id of ids) this.#need({ kind: 'plugin', name: id });
    for (const need of this.#queue) await this.#ask(need);
  }

  result(): Gathered {
    const offered = [...this.#offers.values()].map(({ source, offered: one }) => offeredCandidate(one, source.name));
    return {
      candidates: [...this.#stored, ...offered],
      offers: this.#offers,
      problems: [...this.#problems].map(([source, error]) => ({ source, error })),
    };
  }

  #need(need: Need): void {
    const name = `${need.kind} ${need.name}`;
    if (this.#asked.has(name)) return;
    this.#asked.add(name);
    this.#queue.push(need);
  }

  async #ask(need: Need): Promise<void> {
    for (const candidate of this.#stored.filter(({ manifest }) => answers(manifest, need)))
      this.#needsOf(candidate.manifest);
    for (const source of this.sources) {
      if (this.#problems.has(source.name)) continue;
      try {
        await this.#askSource(source, need);
      } catch (error) {
        if (!(error instanceof AtollError)) throw error;
        this.#problems.set(source.name, error);
      }
    }
  }

  async #askSource(source: PackageSource, need: Need): Promise<void> {
    const known = need.kind === 'plugin' ? this.#packages.get(need.name) : undefined;
    if (known !== undefined) return void (await this.#look(source, [known], need));
    const usual = need.kind === 'plugin' ? [`atoll-plugin-${need.name}`, `@atoll/plugin-${need.name}`] : [];
    const hits = await source.search(need.name, MAX_HITS);
    if (await this.#look(source, [...usual, ...hits.map(({ name }) => name)], need)) return;
    // Registries search names and descriptions, and many not keywords: a provider may have the service in neither.
    const all = await source.search('', MAX_PACKAGES);
    await this.#look(
      source,
      all.map(({ name }) => name),
      need,
    );
  }

  /** Whether one of the packages is what is needed. */
  async #look(source: PackageSource, names: readonly string[], need: Need): Promise<boolean> {
    let found = false;
    for (const name of new Set(names)) {
      for (const offered of await this.#versions(source, name)) {
        const { id } = offered.manifest;
        if (!answers(offered.manifest, need) || (this.#packages.get(id) ?? name) !== name) continue;
        found = true;
        this.#packages.set(id, name);
        if (!this.#offers.has(key(id, offered.version)))
          this.#offers.set(key(id, offered.version), { source, offered });
        this.#needsOf(offered.manifest);
      }
    }
    return found;
  }

  async #versions(source: PackageSource, name: string): Promise<readonly OfferedVersion[]> {
    const asked = `${source.name} ${name}`;
    const known = this.#looked.get(asked);
    if (known) return known;
    const versions = this.#looked.size < MAX_PACKAGES ? await source.versions(name) : [];
    this.#looked.set(asked, versions);
    return versions;
  }

  #needsOf({ dependencies, consumes }: Candidate['manifest']): void {
    for (const id of Object.keys(dependencies)) this.#need({ kind: 'plugin', name: id });
    for (const service of Object.keys(consumes)) this.#need({ kind: 'service', name: service });
  }
}

const answers = ({ id, provides }: Candidate['manifest'], need: Need): boolean =>
  need.kind === 'plugin' ? id === need.name : Object.hasOwn(provides, need.name);
