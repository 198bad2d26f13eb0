import { formatPlan, type PlanStep } from '@atoll/registry';
import type { CanaryView } from './canary.js';
import { CliError, EXIT } from './errors.js';
import type { Output } from './output.js';
import { confirm } from './prompt.js';

/** What a server answers when plugins are installed, upgraded or removed. */
export interface Outcome {
  done: boolean;
  plan: PlanStep[];
  needConsent: string[];
  unchanged: string[];
  /** It runs beside the running version. */
  canary?: CanaryView;
  /** The plugin that it was asked for, as it runs now. */
  plugin?: { id: string; version: string; state: string; reason?: string };
}

export const planText = ({ plan, needConsent, unchanged }: Outcome): string =>
  formatPlan({ steps: plan, needConsent, unchanged, result: {} });

/** Whether what the plan asks for is agreed to: by `--yes`, or by somebody who has seen the plan. Throws a CliError when not. */
export async function agree(out: Output, outcome: Outcome, yes: boolean): Promise<boolean> {
  const { needConsent } = outcome;
  if (needConsent.length === 0 || yes) return yes;
  if (!out.interactive) {
    const hint = 'Look at what they ask for with --dry-run, and repeat with --yes if you agree.';
    throw new CliError(`${needConsent.join(', ')}: permissions are asked for.`, EXIT.FAILURE, {
      code: 'CONSENT_NEEDED',
      hint,
    });
  }
  process.stderr.write(`${planText(outcome)}\n`);
  if (await confirm('Do you agree?')) return true;
  throw new CliError('You did not agree; nothing has changed.', EXIT.FAILURE, { code: 'CONSENT_NEEDED' });
}

/** What has been done, a line for each plugin. */
export function doneText({ plan, plugin }: Outcome): string {
  if (plan.length === 0) return plugin ? `Nothing to do: ${plugin.id}@${plugin.version} is there.` : 'Nothing to do.';
  const lines = plan.map(
    ({ action, id, from, to }) => `${DONE[action]} ${id} ${[from, to].filter(Boolean).join(' → ')}`,
  );
  if (plugin) lines.push(stateText(plugin));
  return lines.join('\n');
}

function stateText({ id, version, state, reason }: NonNullable<Outcome['plugin']>): string {
  const told = `${id}@${version} is ${state}${reason ? `: ${reason}` : '.'}`;
  // Whoever has disabled it once may have forgotten; installing does not change that.
  return state === 'stopped' ? `${told} \`atoll plugins enable ${id}\` starts it.` : told;
}

const DONE = { install: 'installed', upgrade: 'upgraded', downgrade: 'downgraded', remove: 'removed' } as const;
