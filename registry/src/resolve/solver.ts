import semver from 'semver';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Candidate, nameOf, providesService } from './candidate.js';
import { type Chosen, type Incompatibility, incompatibility } from './compatibility.js';
import { type Requirement, requirementsOf } from './requirement.js';

/** What is to be solved. Everything in it is in an order that is the same for the same request. */
export interface Problem {
  /** What must be there, the most important first. */
  roots: readonly Requirement[];
  /** All versions of an id, the best first. */
  versions: (id: string) => readonly Candidate[];
  /** All candidates that provide a service, the best first. */
  providers: (service: string) => readonly Candidate[];
  /** Why a candidate is out of the question whatever else is chosen; undefined when it is not. */
  unfit: (candidate: Candidate) => Unfit | undefined;
  /** Ids of installed plugins that were broken before: their needs are not this resolution's business. */
  lenient: ReadonlySet<string>;
}

export interface Unfit {
  kind: 'engine' | 'excluded' | 'wanted' | 'downgrade' | 'removed';
  text: string;
}

/** Why a requirement can't be met: what was tried for it. */
export interface Conflict {
  requirement: Requirement;
  attempts: readonly Attempt[];
}

export interface Attempt {
  candidate: Candidate;
  reason: Unfit | Incompatibility | { kind: 'range'; text: string } | { kind: 'needs'; conflict: Conflict };
}

export type Solution = { chosen: Chosen; because: ReadonlyMap<string, Requirement> } | { conflict: Conflict };

/** A dead end, and the choices that led to it: with these, whatever else is chosen, there is no solution. */
interface DeadEnd {
  blame: ReadonlySet<string>;
  conflict: Conflict;
}

const MAX_STEPS = 200_000;

/**
 * Finds a set of plugins that meets all requirements, or proves that there is none: depth first, the best candidates
 * first, and after a dead end straight back to the latest choice that had a part in it (conflict-directed backjumping).
 * What led to a dead end is remembered, so that no dead end is entered twice.
 * Throws DEPENDENCY_CONFLICT when a problem is too hard to decide.
 */
export function solve(problem: Problem): Solution {
  const search = new Search(problem);
  const deadEnd = search.run([...problem.roots], 0);
  return deadEnd ? { conflict: deadEnd.conflict } : { chosen: search.chosen, because: search.because };
}

class Search {
  readonly chosen = new Map<string, Candidate>();
  readonly because = new Map<string, Requirement>();
  readonly #learned = new LearnedDeadEnds();
  #steps = 0;

  constructor(private readonly problem: Problem) {}

  /** Meets the requirements from `at` on and those they bring. Leaves the choices made when that worked. */
  run(agenda: readonly Requirement[], at: number): DeadEnd | undefined {
    let next = at;
    while (next < agenda.length && this.#isMet(agenda[next]!)) next++;
    const requirement = agenda[next];
    return requirement === undefined ? undefined : this.#meet(requirement, agenda, next + 1);
  }

  #isMet(requirement: Requirement): boolean {
    // A plugin that is chosen is in the range of all who need it: that was checked when the later of both was chosen.
    if (requirement.kind !== 'service') return this.chosen.has(requirement.id);
    return [...this.chosen.values()].some((one) => providesService(one, requirement.service, requirement.range));
  }

  #meet(requirement: Requirement, agenda: readonly Requirement[], next: number): DeadEnd | undefined {
    const attempts: Attempt[] = [];
    const blame = new Set<string>(requirement.kind === 'root' ? [] : [requirement.by.id]);
    for (const candidate of this.#candidates(requirement)) {
      if (++this.#steps > MAX_STEPS) throw tooHard();
      const obstacle = this.#obstacle(requirement, candidate);
      if (obstacle) {
        attempts.push({ candidate, reason: obstacle });
        for (const id of 'with' in obstacle ? obstacle.with : []) blame.add(id);
        continue;
      }
      const known = this.#learned.find(candidate, this.chosen);
      const deadEnd = known ?? this.#choose(requirement, candidate, agenda, next);
      if (!deadEnd) return undefined;
      if (!deadEnd.blame.has(candidate.id)) return deadEnd;
      attempts.push({ candidate, reason: { kind: 'needs', conflict: deadEnd.conflict } });
      for (const id of deadEnd.blame) if (id !== candidate.id) blame.add(id);
    }
    return { blame, conflict: { requirement, attempts } };
  }

  #candidates(requirement: Requirement): readonly Candidate[] {
    return requirement.kind === 'service'
      ? this.problem.providers(requirement.service)
      : this.problem.versions(requirement.id);
  }

  #obstacle(requirement: Requirement, candidate: Candidate): Exclude<Attempt['reason'], { kind: 'needs' }> | undefined {
    const other = this.chosen.get(candidate.id);
    if (other) return { kind: 'range', with: [candidate.id], text: besideText(requirement, candidate, other) };
    const outside = outOfRange(requirement, candidate);
    if (outside !== undefined) return { kind: 'range', text: outside };
    return this.problem.unfit(candidate) ?? incompatibility(candidate, this.chosen, this.problem.lenient);
  }

  #choose(
    requirement: Requirement,
    candidate: Candidate,
    agenda: readonly Requirement[],
    next: number,
  ): DeadEnd | undefined {
    this.chosen.set(candidate.id, candidate);
    this.because.set(candidate.id, requirement);
    const needs = this.problem.lenient.has(candidate.id)
      ? []
      : requirementsOf(candidate, [...requirement.chain, requirement]);
    const deadEnd = this.run([...agenda, ...needs], next);
    if (deadEnd) {
      this.#learned.add(deadEnd, this.chosen);
      this.chosen.delete(candidate.id);
      this.because.delete(candidate.id);
    }
    return deadEnd;
  }
}

/** Choices that together lead nowhere, whatever else is chosen: to be recognised when they come up again. */
class LearnedDeadEnds {
  readonly #byMember = new Map<string, { members: readonly Candidate[]; deadEnd: DeadEnd }[]>();

  add(deadEnd: DeadEnd, chosen: Chosen): void {
    if (deadEnd.blame.size > MAX_MEMBERS) return;
    const members = [...deadEnd.blame].map((id) => chosen.get(id)!);
    for (const member of members) {
      const known = this.#byMember.get(nameOf(member)) ?? [];
      if (known.length < MAX_LEARNED) this.#byMember.set(nameOf(member), [...known, { members, deadEnd }]);
    }
  }

  find(candidate: Candidate, chosen: Chosen): DeadEnd | undefined {
    const known = this.#byMember.get(nameOf(candidate)) ?? [];
    return known.find(({ members }) =>
      members.every((one) => one.id === candidate.id || chosen.get(one.id)?.version === one.version),
    )?.deadEnd;
  }
}

const MAX_MEMBERS = 4;
const MAX_LEARNED = 64;

/** A provider that is chosen does not fit, or there would be nothing to do; another version can't be chosen beside it. */
const besideText = (requirement: Requirement, candidate: Candidate, other: Candidate): string =>
  (candidate.version === other.version ? outOfRange(requirement, candidate) : undefined) ??
  `can't be there beside ${other.version}`;

function outOfRange(requirement: Requirement, candidate: Candidate): string | undefined {
  if (requirement.kind === 'plugin' && !semver.satisfies(candidate.version, requirement.range))
    return `is not in ${requirement.range}`;
  if (requirement.kind === 'service' && !providesService(candidate, requirement.service, requirement.range)) {
    return `provides "${requirement.service}" ${candidate.manifest.provides[requirement.service]}`;
  }
  return undefined;
}

const tooHard = (): AtollError =>
  new AtollError('DEPENDENCY_CONFLICT', `The requirements could not be decided within ${MAX_STEPS} steps.`, {
    suggestions: ['Ask for exact versions, or install fewer plugins at once.'],
  });
