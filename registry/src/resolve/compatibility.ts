import semver from 'semver';
import { type Candidate, overlappingMounts, nameOf, rangeFor } from './candidate.js';

/** Why a candidate can't join those that are chosen. */
export interface Incompatibility {
  kind: 'range' | 'conflict' | 'mount' | 'cycle';
  /** Ids of the chosen ones that stand against it. */
  with: readonly string[];
  /** In words that go on after the candidate's name. */
  text: string;
}

export type Chosen = ReadonlyMap<string, Candidate>;

/**
 * The first reason why a candidate does not fit those chosen, in their order. `lenient` ones are installed and were broken
 * before: what they ask for binds nobody.
 */
export function incompatibility(
  candidate: Candidate,
  chosen: Chosen,
  lenient: ReadonlySet<string>,
): Incompatibility | undefined {
  const free = lenient.has(candidate.id);
  for (const other of chosen.values()) {
    const found =
      (lenient.has(other.id) ? undefined : demands(other, candidate, false)) ??
      (free ? undefined : demands(candidate, other, true)) ??
      clash(candidate, other);
    if (found) return found;
  }
  return free ? undefined : cycle(candidate, chosen, lenient);
}

/** Whether what one says of the other fails. `own` is whether the one that says it is the candidate. */
function demands(one: Candidate, other: Candidate, own: boolean): Incompatibility | undefined {
  const { dependencies, optionalDependencies, conflicts } = one.manifest;
  const against = own ? other.id : one.id;
  const say = (kind: Incompatibility['kind'], mine: string, theirs: string): Incompatibility => ({
    kind,
    with: [against],
    text: own ? mine : theirs,
  });
  for (const ranges of [dependencies, optionalDependencies]) {
    const range = rangeFor(ranges, other.id);
    if (range !== undefined && !semver.satisfies(other.version, range)) {
      return say(
        'range',
        `needs "${other.id}" ${range}, and ${other.version} is chosen`,
        `is not in ${range}, which ${nameOf(one)} needs`,
      );
    }
  }
  const range = rangeFor(conflicts, other.id);
  if (range === undefined || !semver.satisfies(other.version, range)) return undefined;
  return say('conflict', `can't run beside ${nameOf(other)}`, `can't run beside ${nameOf(one)}, which says so`);
}

function clash(candidate: Candidate, other: Candidate): Incompatibility | undefined {
  const pair = overlappingMounts(candidate.manifest.mounts, other.manifest.mounts);
  return (
    pair && {
      kind: 'mount',
      with: [other.id],
      text: `mounts ${pair[0]}, which clashes with ${pair[1]} of ${nameOf(other)}`,
    }
  );
}

/** Follows dependencies among the chosen from the candidate back to it. */
function cycle(candidate: Candidate, chosen: Chosen, lenient: ReadonlySet<string>): Incompatibility | undefined {
  const path = pathBack(candidate, chosen, lenient);
  if (!path) return undefined;
  return {
    kind: 'cycle',
    with: path,
    text: `depends on itself in a circle: ${[candidate.id, ...path, candidate.id].join(' → ')}`,
  };
}

function pathBack(start: Candidate, chosen: Chosen, lenient: ReadonlySet<string>): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const queue: Candidate[] = [start];
  for (const node of queue) {
    for (const id of Object.keys(node.manifest.dependencies).sort()) {
      if (id === start.id) return trail(start.id, node.id, cameFrom);
      const next = chosen.get(id);
      if (!next || lenient.has(id) || cameFrom.has(id)) continue;
      cameFrom.set(id, node.id);
      queue.push(next);
    }
  }
  return undefined;
}

function trail(start: string, end: string, cameFrom: ReadonlyMap<string, string>): string[] {
  const ids: string[] = [];
  for (let at = end; at !== start; at = cameFrom.get(at)!) ids.unshift(at);
  return ids;
}
