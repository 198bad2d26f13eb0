import { AtollError, type ErrorCode } from '@atoll/plugin-sdk/contract';
import semver from 'semver';
import { nearest } from '../manifest-problems.js';
import { nameOf } from './candidate.js';
import { chainText, needText, type Requirement } from './requirement.js';
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
  const { requirement, attempts } = conflict;
  const chain = chainText(requirement).join(' → ');
  if (attempts.length === 0) return `${chain}, which no source has.`;
  const told = relevant(conflict);
  const reasons = told.slice(0, MAX_TOLD).map((attempt) => `${nameOf(attempt.candidate)} ${reasonText(attempt)}`);
  const more = told.length > MAX_TOLD ? `; and ${told.length - MAX_TOLD} more` : '';
  return `${chain}, but ${reasons.join('; ')}${more}.`;
}

/** In words that go on after the candidate's name. */
function reasonText({ reason }: Attempt): string {
  return reason.kind === 'needs' ? innerText(reason.conflict, 0) : reason.text;
}

function innerText({ requirement, attempts }: Conflict, depth: number): string {
  const need =
    requirement.kind === 'root'
      ? `leaves no version of "${requirement.id}" (${requirement.why})`
      : needText(requirement);
  const who = requirement.kind === 'root' || depth === 0 ? '' : `${nameOf(requirement.by)} `;
  if (attempts.length === 0) return `${who}${need}, which no source has`;
  const told = relevant({ requirement, attempts }).slice(0, 3);
  const reasons = told.map((attempt) => {
    const { candidate, reason } = attempt;
    const text =
      reason.kind !== 'needs'
        ? reason.text
        : depth < MAX_DEPTH
          ? innerText(reason.conflict, depth + 1)
          : 'does not fit, either';
    return `${nameOf(candidate)} ${text}`;
  });
  return `${who}${need} (${reasons.join('; ')})`;
}

function explain({ requirement, attempts }: Conflict, depth: number): ExplainedConflict {
  return {
    chain: chainText(requirement),
    considered: attempts.slice(0, 20).map((attempt) => ({
      id: attempt.candidate.id,
      version: attempt.candidate.version,
      reason: reasonText(attempt),
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
        return [rangeHint(requirement, conflict)];
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

function rangeHint(requirement: Requirement, { attempts }: Conflict): string {
  const versions = attempts.map(({ candidate }) => candidate).sort((a, b) => semver.rcompare(a.version, b.version));
  const there = [...new Set(versions.map(nameOf))].slice(0, 3).join(', ');
  if (requirement.kind === 'root') return `There is ${there}.`;
  return `Look for another version of "${requirement.by.id}": there is ${there}.`;
}
