import { AtollError } from '@atoll/plugin-sdk/contract';
import semver from 'semver';
import { dependantsOf, type GraphNode, planStart } from '../graph.js';
import { nearest } from '../manifest-problems.js';
import type { PluginManifest } from '../manifest.js';
import { type Candidate, isAhead, nameOf } from './candidate.js';
import { type Chosen, incompatibility } from './compatibility.js';
import { toResolutionError } from './explain.js';
import { type PlanStep, type ResolutionPlan, stepFor } from './plan.js';
import { needText, type Requirement, requirementsOf } from './requirement.js';
import { type Problem, solve, type Unfit } from './solver.js';

export interface ResolveRequest {
  /** Version of the kernel, for `engine`. */
  kernel: string;
  /** What is installed now. */
  installed?: readonly PluginManifest[];
  /** What could be: versions of a store and of sources. Those of a store should come first. */
  candidates: readonly Candidate[];
  /** Id → semver range, `latest` or `next`. */
  install?: Readonly<Record<string, string>>;
  /** Installed plugins that should become as new as possible. */
  upgrade?: 'all' | readonly string[];
  remove?: readonly string[];
  /** With `remove`: also what needs it. */
  cascade?: boolean;
}

/**
 * Finds what to install, upgrade and remove, so that every plugin has what it needs. What is installed stays as it is
 * where that is possible. The same request gives the same plan. Throws VERSION_NOT_FOUND, DEPENDENCY_MISSING,
 * DEPENDENCY_CONFLICT or DEPENDENCY_CYCLE with the chain and suggestions; PLUGIN_NEEDED and PLUGIN_NOT_FOUND.
 */
export function resolve(request: ResolveRequest): ResolutionPlan {
  const { installed = [], upgrade = [] } = request;
  const now = new Map(sortedBy(installed, ({ id }) => id).map((manifest) => [manifest.id, manifest]));
  assertInstalled([...(upgrade === 'all' ? [] : upgrade), ...(request.remove ?? [])], now);
  const removed = removals(request, [...now.values()]);
  const world = new World(request, now, removed);
  const solution = solve(world.problem());
  if ('conflict' in solution) throw toResolutionError(solution.conflict, world.ids());
  const chosen = world.withoutSuperfluous(solution.chosen);
  return planOf(world, chosen, solution.because, removed);
}

const sortedBy = <T>(values: readonly T[], key: (value: T) => string): T[] =>
  [...values].sort((a, b) => (key(a) < key(b) ? -1 : Number(key(a) > key(b))));

function assertInstalled(ids: readonly string[], installed: ReadonlyMap<string, PluginManifest>): void {
  const unknown = ids.find((id) => !installed.has(id));
  if (unknown === undefined) return;
  const meant = nearest(unknown, [...installed.keys()]);
  const hint = meant === undefined ? '' : ` Did you mean "${meant}"?`;
  throw new AtollError('PLUGIN_NOT_FOUND', `"${unknown}" is not installed.${hint}`);
}

/** Id → why it goes. */
function removals(
  { remove = [], cascade = false, install = {} }: ResolveRequest,
  installed: readonly GraphNode[],
): Map<string, string> {
  const gone = new Map(sortedBy(remove, (id) => id).map((id) => [id, 'you asked for it']));
  for (const id of [...gone.keys()]) {
    if (Object.hasOwn(install, id))
      throw new AtollError('BAD_REQUEST', `"${id}" can't be installed and removed at once.`);
    const dependants = dependantsOf(id, installed).filter((other) => !gone.has(other));
    if (dependants.length > 0 && !cascade) {
      throw new AtollError(
        'PLUGIN_NEEDED',
        `"${id}" is needed by ${dependants.map((other) => `"${other}"`).join(', ')}.`,
        {
          suggestions: [`Remove ${dependants.map((other) => `"${other}"`).join(', ')} as well (cascade).`],
        },
      );
    }
    for (const other of dependants) gone.set(other, `it needs "${id}"`);
  }
  return gone;
}

/** Everything the solver asks about the request. */
class World {
  readonly lenient: ReadonlySet<string>;
  readonly #versions = new Map<string, Candidate[]>();
  readonly #fresh: ReadonlySet<string>;
  readonly #wants: Readonly<Record<string, string>>;

  constructor(
    private readonly request: ResolveRequest,
    readonly installed: ReadonlyMap<string, PluginManifest>,
    private readonly removed: ReadonlyMap<string, string>,
  ) {
    const { upgrade = [], install = {} } = request;
    this.#wants = install;
    this.#fresh = new Set([...(upgrade === 'all' ? installed.keys() : upgrade), ...Object.keys(install)]);
    this.lenient = new Set([...broken([...installed.values()], request.kernel)].filter((id) => !this.#fresh.has(id)));
    for (const candidate of this.#all()) {
      const versions = this.#versions.get(candidate.id);
      if (versions) versions.push(candidate);
      else this.#versions.set(candidate.id, [candidate]);
    }
    for (const versions of this.#versions.values()) versions.sort((a, b) => this.#compare(a, b));
  }

  ids(): string[] {
    return [...this.#versions.keys()].sort();
  }

  problem(): Problem {
    return {
      roots: this.#roots(),
      versions: (id) => this.#versions.get(id) ?? [],
      providers: (service) => this.#providers(service),
      unfit: (candidate) => this.#unfit(candidate),
      lenient: this.lenient,
    };
  }

  /** The manifest that is installed, as a candidate. */
  installedVersion(id: string): Candidate | undefined {
    const manifest = this.installed.get(id);
    return manifest && (this.#versions.get(id) ?? []).find(({ version }) => version === manifest.version);
  }

  /** A provider may have come for a service that a later one provides, too. What nobody asked for and needs goes again. */
  withoutSuperfluous(chosen: Chosen): Map<string, Candidate> {
    const left = new Map(chosen);
    for (const id of [...chosen.keys()].reverse()) {
      if (this.installed.has(id) || Object.hasOwn(this.#wants, id)) continue;
      const candidate = left.get(id)!;
      left.delete(id);
      if (!this.#isComplete(left)) left.set(id, candidate);
    }
    return left;
  }

  #isComplete(chosen: Chosen): boolean {
    const problem = this.problem();
    const needs = [...chosen.values()]
      .filter(({ id }) => !this.lenient.has(id))
      .flatMap((one) => requirementsOf(one, []));
    const nodes = [...chosen.values()].map(({ manifest }) => manifest);
    return (
      needs.every((need) =>
        need.kind === 'service'
          ? nodes.some(({ provides }) => semverFits(provides, need.service, need.range))
          : need.kind === 'root' || chosen.has(need.id),
      ) && problem.roots.every((root) => root.kind !== 'root' || chosen.has(root.id))
    );
  }

  /** Each version once: what is installed first, then in the order given. */
  #all(): Candidate[] {
    const given = new Map<string, Candidate>();
    for (const candidate of this.request.candidates)
      if (!given.has(nameOf(candidate))) given.set(nameOf(candidate), candidate);
    for (const manifest of this.installed.values()) {
      const { id, version } = manifest;
      if (!given.has(nameOf(manifest))) given.set(nameOf(manifest), { id, version, manifest });
    }
    return sortedBy([...given.values()], ({ id }) => id);
  }

  #compare(a: Candidate, b: Candidate): number {
    const stays = ({ id, version }: Candidate) => !this.#fresh.has(id) && this.installed.get(id)?.version === version;
    return (
      Number(stays(b)) - Number(stays(a)) ||
      Number(a.deprecated !== undefined) - Number(b.deprecated !== undefined) ||
      Number(isAhead(a) && this.#wants[a.id] !== 'next') - Number(isAhead(b) && this.#wants[b.id] !== 'next') ||
      semver.rcompare(a.version, b.version)
    );
  }

  #roots(): Requirement[] {
    const wanted = Object.keys(this.#wants).sort();
    const staying = [...this.installed.keys()].filter((id) => !wanted.includes(id) && !this.removed.has(id));
    return [
      ...wanted.map((id): Requirement => ({ kind: 'root', id, asked: this.#wants[id]!, chain: [] })),
      ...staying.map(
        (id): Requirement => ({ kind: 'root', id, installed: this.installed.get(id)!.version, chain: [] }),
      ),
    ];
  }

  /** Those that are installed first, because they will be there anyhow; then by id. */
  #providers(service: string): Candidate[] {
    const all = this.ids().flatMap((id) => this.#versions.get(id)!);
    const providing = all.filter(({ manifest }) => Object.hasOwn(manifest.provides, service));
    return providing.sort((a, b) => Number(this.installed.has(b.id)) - Number(this.installed.has(a.id)));
  }

  #unfit(candidate: Candidate): Unfit | undefined {
    const { id, version, manifest, excluded } = candidate;
    const present = this.installed.get(id);
    const stays = present?.version === version;
    const because = this.removed.get(id);
    if (because !== undefined) return { kind: 'removed', text: `is to be removed, because ${because}` };
    const want = Object.hasOwn(this.#wants, id) ? this.#wants[id]! : undefined;
    if (want !== undefined && !fitsWant(candidate, want))
      return { kind: 'wanted', text: `is not in ${want}, which is asked for` };
    if (!semver.satisfies(this.request.kernel, manifest.engine) && !this.lenient.has(id)) {
      return { kind: 'engine', text: `needs the kernel ${manifest.engine}; this is ${this.request.kernel}` };
    }
    if (stays) return undefined;
    if (excluded !== undefined) return { kind: 'excluded', text: excluded };
    return want === undefined ? this.#unasked(candidate, present) : undefined;
  }

  /** Nobody named this version: then it is no older than what is there, and ahead only where that is. */
  #unasked(candidate: Candidate, present: PluginManifest | undefined): Unfit | undefined {
    if (!present) return undefined;
    if (semver.lt(candidate.version, present.version))
      return { kind: 'downgrade', text: `is older than ${present.version}, which is installed` };
    const ahead = isAhead(candidate) && !isAhead(this.installedVersion(present.id)!);
    return ahead ? { kind: 'downgrade', text: 'is in the channel "next", which has to be asked for' } : undefined;
  }
}

/** Whether a version is what was asked for: `next` is any, `latest` any that is not only for those who want to be ahead. */
export function fitsWant(candidate: Pick<Candidate, 'version' | 'channel'>, want: string): boolean {
  if (want === 'next') return true;
  return want === 'latest' ? !isAhead(candidate) : semver.satisfies(candidate.version, want);
}

const semverFits = (provides: Readonly<Record<string, string>>, service: string, range: string): boolean =>
  Object.hasOwn(provides, service) && semver.satisfies(provides[service]!, range);

/** Installed plugins that do not work as it is: they must not stand in the way of others. */
function broken(installed: readonly PluginManifest[], kernel: string): Set<string> {
  const found = new Set(planStart(installed).pending.keys());
  for (const manifest of installed) if (!semver.satisfies(kernel, manifest.engine)) found.add(manifest.id);
  const candidates = installed.map((manifest): Candidate => ({ id: manifest.id, version: manifest.version, manifest }));
  const sound = new Map<string, Candidate>();
  for (const candidate of candidates) {
    if (!found.has(candidate.id) && incompatibility(candidate, sound, new Set())) found.add(candidate.id);
    sound.set(candidate.id, candidate);
  }
  return found;
}

function planOf(
  world: World,
  chosen: Chosen,
  because: ReadonlyMap<string, Requirement>,
  removed: ReadonlyMap<string, string>,
): ResolutionPlan {
  const order = planStart([...chosen.values()].map(({ manifest }) => manifest));
  const started = [...order.order.flat(), ...[...order.pending.keys()].sort()];
  const goes = planStart([...world.installed.values()])
    .order.flat()
    .reverse();
  const leaving = [...removed.keys()].sort((a, b) => goes.indexOf(a) - goes.indexOf(b));
  const steps = [
    ...leaving.map((id) => stepFor(world.installedVersion(id), undefined, removed.get(id)!)),
    ...started.map((id) => stepFor(world.installedVersion(id), chosen.get(id), reasonOf(because.get(id)))),
  ].filter((step): step is PlanStep => step !== undefined);
  const changed = new Set(steps.map(({ id }) => id));
  return {
    steps,
    result: Object.fromEntries([...chosen.values()].map(({ id, version }): [string, string] => [id, version]).sort()),
    unchanged: [...chosen.keys()].filter((id) => !changed.has(id)).sort(),
    needConsent: steps.filter(({ permissions }) => permissions.needsConsent).map(({ id }) => id),
  };
}

function reasonOf(requirement: Requirement | undefined): string {
  if (!requirement) return 'it is needed';
  if (requirement.kind === 'root') return 'asked' in requirement ? 'you asked for it' : 'others need another version';
  return `${nameOf(requirement.by)} ${needText(requirement)}`;
}
