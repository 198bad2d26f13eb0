import { AtollError, type ErrorCode } from '@atoll/plugin-sdk/contract';
import semver from 'semver';
import { nearest } from '../manifest-problems.js';
import { type Candidate, nameOf } from './candidate.js';
import { chainText, needText, type Requirement, rootText } from './requirement.js';
import type { Attempt, Conflict } from './solver.js';

/** A conflict as plain data, for clients. */
export interface ExplainedConflict {
  /** The way to what can't be met, one step each, the request first. */
  chain: string[];
  /** What was considered, and why it is out. */
  considered: { id: string; version: string; reason: string; conflict?: ExplainedConflict }[];
}

const MAX_TOLD = 8;
const MAX_DEPTH = 5;
/** Parentheses in parentheses help nobody. */
const MAX_NESTED = 3;

/** The error for a conflict: the whole chain, what was considered, and what could help. `known` are all ids there are. */
export function toResolutionError(conflict: Conflict, known: readonly string[]): AtollError {
  const suggestions = suggestionsFor(conflict, known);
  const detail = `${headline(conflict)}${suggestions[0] === undefined ? '' : ` ${suggestions[0]}`}`;
  return new AtollError(codeOf(conflict), detail, { conflict: explain(conflict, 0), suggestions });
}

/** What there was to choose from and was not wrong from the start. */
const relevant = ({ attempts }: Conflict): readonly Attempt[] => {
  const inRange = attempts.filter(
    ({ reason }) => reason.kind !== 'wanted' && !(reason.kind === 'range' && !('with' in reason)),
  );
  return inRange.length > 0 ? inRange : attempts;
};

function codeOf(conflict: Conflict): ErrorCode {
  const { requirement, attempts } = conflict;
  if (attempts.length === 0) return requirement.kind === 'root' ? 'VERSION_NOT_FOUND' : 'DEPENDENCY_MISSING';
  const kinds = new Set(relevant(conflict).map(({ reason }) => reason.kind));
  if (kinds.size === 1 && kinds.has('cycle')) return 'DEPENDENCY_CYCLE';
  if (kinds.size === 1 && kinds.has('wanted')) return 'VERSION_NOT_FOUND';
  const inner = relevant(conflict).map(({ reason }) => (reason.kind === 'needs' ? codeOf(reason.conflict) : undefined));
  const [code] = inner;
  return code !== undefined && code !== 'VERSION_NOT_FOUND' && inner.every((one) => one === code)
    ? code
    : 'DEPENDENCY_CONFLICT';
}

function headline(conflict: Conflict): string {
  const chain = chainText(conflict.requirement).join(' → ');
  if (conflict.attempts.length === 0) return `${chain}, which no source has.`;
  return `${chain}, but ${attemptsText(conflict, MAX_TOLD, 0)}.`;
}

function attemptsText(conflict: Conflict, most: number, depth: number): string {
  const all = relevant(conflict);
  const told = all.slice(0, most).map((attempt) => `${nameOf(attempt.candidate)} ${reasonText(attempt, depth)}`);
  return all.length > most ? `${told.join('; ')}; and ${all.length - most} more` : told.join('; ');
}

/** In words that go on after the candidate's name. */
function reasonText({ candidate, reason }: Attempt, depth: number): string {
  if (reason.kind !== 'needs') return reason.text;
  const { conflict } = reason;
  const subject = subjectOf(conflict.requirement, candidate);
  if (conflict.attempts.length === 0) return `${subject}, which no source has`;
  return depth < MAX_NESTED ? `${subject} (${attemptsText(conflict, 3, depth + 1)})` : subject;
}

function subjectOf(requirement: Requirement, candidate: Candidate): string {
  if (requirement.kind === 'root') return `does not go with ${rootText(requirement).join(', which is ')}`;
  const need = needText(requirement);
  return requirement.by.id === candidate.id ? need : `does not work, because ${nameOf(requirement.by)} ${need}`;
}

function explain({ requirement, attempts }: Conflict, depth: number): ExplainedConflict {
  return {
    chain: chainText(requirement),
    considered: attempts.slice(0, 20).map((attempt) => ({
      id: attempt.candidate.id,
      version: attempt.candidate.version,
      reason: reasonText(attempt, 0),
      ...(attempt.reason.kind === 'needs' &&
        depth < MAX_DEPTH && { conflict: explain(attempt.reason.conflict, depth + 1) }),
    })),
  };
}

function suggestionsFor(conflict: Conflict, known: readonly string[]): string[] {
  const all = leaves(conflict, 0).flatMap((leaf) => suggest(leaf, known));
  return [...new Set(all)].slice(0, 5);
}

/** Conflicts that no other is behind. */
function leaves(conflict: Conflict, depth: number): Conflict[] {
  const inner = conflict.attempts.flatMap(({ reason }) => (reason.kind === 'needs' ? [reason.conflict] : []));
  return inner.length === 0 || depth > MAX_DEPTH
    ? [conflict]
    : [...inner.flatMap((one) => leaves(one, depth + 1)), conflict];
}

function suggest(conflict: Conflict, known: readonly string[]): string[] {
  const { requirement, attempts } = conflict;
  if (attempts.length === 0) return [absentHint(requirement, known)];
  return relevant(conflict).flatMap(({ candidate, reason }): string[] => {
    switch (reason.kind) {
      case 'engine':
        return [`Upgrade Atoll to a version in ${candidate.manifest.engine} for ${nameOf(candidate)}.`];
      case 'conflict':
      case 'mount':
        return [`Remove ${reason.with.map((id) => `"${id}"`).join(' and ')} first, or leave "${candidate.id}" out.`];
      case 'cycle':
        return [`Ask the authors to break the circle, by a service or an optional dependency.`];
      case 'removed':
        return [`Keep "${candidate.id}", or remove what needs it, too.`];
      case 'downgrade':
        return [`Ask for ${candidate.id}@${candidate.version} by name, if going back to it is meant.`];
      case 'range':
        return rangeHint(requirement, candidate, 'with' in reason ? reason.with : [], conflict);
      case 'excluded':
        return [`Look for another version of "${candidate.id}" than ${candidate.version}.`];
      case 'wanted':
        return [`There is ${nameOf(candidate)}.`];
      default:
        return [];
    }
  });
}

function absentHint(requirement: Requirement, known: readonly string[]): string {
  if (requirement.kind === 'service') return `Add a source that has a plugin providing "${requirement.service}".`;
  const meant = nearest(requirement.id, known);
  return meant === undefined ? `Add a source that has "${requirement.id}".` : `Did you mean "${meant}"?`;
}

function rangeHint(
  requirement: Requirement,
  { id }: Candidate,
  against: readonly string[],
  conflict: Conflict,
): string[] {
  const others = against.filter((other) => other !== id).map((other) => `"${other}"`);
  if (others.length > 0) {
    if (requirement.kind === 'root')
      return [`Leave ${others.join(' and ')} out, or remove "${id}" or look for another version of it.`];
    const all = [`"${requirement.by.id}"`, ...others].join(' and ');
    return [`${all} need different versions of "${id}": leave one out, or look for versions of them that agree.`];
  }
  const versions = conflict.attempts
    .map(({ candidate }) => candidate)
    .sort((a, b) => semver.rcompare(a.version, b.version));
  const there = [...new Set(versions.map(nameOf))].slice(0, 3).join(', ');
  if (requirement.kind === 'root') return [`There is ${there}.`];
  const wanted = requirement.kind === 'plugin' ? `"${requirement.id}"` : `a provider of "${requirement.service}"`;
  return [`Add a source that has ${wanted} ${requirement.range}; there is ${there}.`];
}
