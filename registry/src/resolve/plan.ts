import semver from 'semver';
import { type PermissionDifference, diffPermissions } from '../permissions.js';
import { type Candidate, nameOf } from './candidate.js';

export type StepAction = 'install' | 'upgrade' | 'downgrade' | 'remove';

export interface PlanStep {
  action: StepAction;
  id: string;
  /** The version that is there; absent for `install`. */
  from?: string;
  /** The version that will be there; absent for `remove`. */
  to?: string;
  /** Who asked for it, in words. */
  because: string;
  /** SHA-512 of the package to take, SRI form. */
  integrity?: string;
  source?: string;
  /** What it asks for beyond what the version before did. */
  permissions: PermissionDifference;
  /** Why the version should better not be taken. */
  deprecated?: string;
}

/** What will be done, as a value: nothing has happened yet. */
export interface ResolutionPlan {
  /** In an order in which each can be carried out: what goes first, then each plugin after what it needs. */
  steps: readonly PlanStep[];
  /** Id → version of everything that will be installed. */
  result: Readonly<Record<string, string>>;
  /** Ids that stay as they are. */
  unchanged: readonly string[];
  /** Ids whose step asks for permissions that nobody has agreed to. */
  needConsent: readonly string[];
}

export function stepFor(
  before: Candidate | undefined,
  after: Candidate | undefined,
  because: string,
): PlanStep | undefined {
  if (before?.version === after?.version) return undefined;
  const { integrity, source, deprecated } = after ?? {};
  return {
    action: actionOf(before, after),
    id: (after ?? before)!.id,
    ...(before && { from: before.version }),
    ...(after && { to: after.version }),
    because,
    ...(integrity !== undefined && { integrity }),
    ...(source !== undefined && { source }),
    permissions: after
      ? diffPermissions(before?.manifest, after.manifest)
      : { added: [], removed: [], needsConsent: false },
    ...(deprecated !== undefined && { deprecated }),
  };
}

function actionOf(before: Candidate | undefined, after: Candidate | undefined): StepAction {
  if (!after) return 'remove';
  if (!before) return 'install';
  return semver.gt(after.version, before.version) ? 'upgrade' : 'downgrade';
}

/** The plan for people: one line for each step, then what to agree to. */
export function formatPlan({ steps, unchanged, needConsent }: ResolutionPlan): string {
  if (steps.length === 0) return 'Nothing to do.';
  const lines = steps.flatMap((step) => [
    `${step.action.padEnd(9)} ${versions(step)} (${step.because})`,
    ...(step.deprecated === undefined ? [] : [`          deprecated: ${step.deprecated}`]),
    ...step.permissions.added.map(
      ({ kind, value }) => `          asks for ${kind}${value === undefined ? '' : ` ${value}`}`,
    ),
  ]);
  const consent = needConsent.length > 0 ? [`Needs consent: ${needConsent.join(', ')}.`] : [];
  return [...lines, `${unchanged.length} stay as they are.`, ...consent].join('\n');
}

function versions({ id, from, to }: PlanStep): string {
  if (from === undefined) return nameOf({ id, version: to! });
  return to === undefined ? nameOf({ id, version: from }) : `${id} ${from} → ${to}`;
}
