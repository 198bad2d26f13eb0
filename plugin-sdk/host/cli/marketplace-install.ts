import type { Command } from 'commander';
import { change, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import type { Output } from './output.js';
import { agree, doneText, type Outcome, planText } from './plan-consent.js';
import { offerAt, pluginAt } from './server-paths.js';
import { parseSpec } from './store.js';

export interface InstallFlags {
  yes?: boolean;
  dryRun?: boolean;
  discardState?: boolean;
}

export const withConsent = (command: Command): Command =>
  command
    .option('--yes', 'agree to all permissions that are asked for')
    .option('--dry-run', 'only show what would be done');

export const withState = (command: Command): Command =>
  command.option('--discard-state', 'give up what the running version keeps in memory');

/** `atoll install` and `rollback`. */
export function installCommands(program: Command, run: Run): void {
  withConsent(
    program
      .command('install <id[@version]>')
      .description('install a plugin with all it needs; a version, a range or a channel'),
  ).action((spec: string, flags: InstallFlags) =>
    run(async (out, server) => {
      const { name, range } = parseSpec(spec);
      const outcome = await carryOut(out, server, { target: `${offerAt(name)}/install`, id: name, range }, flags);
      out.result(outcome, outcome.done ? doneText(outcome) : planText(outcome));
    }),
  );
  withState(
    program
      .command('rollback <id> [version]')
      .description('go back to the version that ran before, or to another that ran once'),
  ).action((id: string, version: string | undefined, { discardState = false }: InstallFlags) =>
    run(async (out, server) => {
      const body = { discardState, ...(version !== undefined && { version }) };
      const outcome = await out.step(`Rolling ${id} back`, () =>
        change<Outcome>(server, 'POST', `${pluginAt(id)}/rollback`, body),
      );
      out.result(outcome, doneText(outcome));
    }),
  );
}

export interface Wanted {
  /** The route that does it. */
  target: string;
  id: string;
  /** Version, range or channel. */
  range: string | undefined;
  /** Which calls it gets first, while the running version goes on. */
  canary?: object | undefined;
  /** Whether recorded calls are replayed against it first; as it is configured without it. */
  rehearse?: boolean | undefined;
}

/** The plan first; then, when it is agreed to, the very version that was shown. */
export async function carryOut(
  out: Output,
  server: ServerOptions,
  { target, id, range, canary, rehearse }: Wanted,
  { yes = false, dryRun = false, discardState = false }: InstallFlags,
): Promise<Outcome> {
  const wanted = range === undefined || range === '' ? {} : { version: range };
  const planned = await out.step(`Planning ${id}`, () =>
    change<Outcome>(server, 'POST', target, { ...wanted, dryRun: true }),
  );
  if (dryRun) return planned;
  const consent = await agree(out, planned, yes);
  const version = planned.plan.find((step) => step.id === id)?.to;
  const body = {
    ...wanted,
    ...(version !== undefined && { version }),
    consent,
    discardState,
    ...(canary && { canary }),
    ...(rehearse !== undefined && { rehearse }),
  };
  const names = planned.plan.map((step) => step.id).join(', ') || id;
  return out.step(`Starting ${names}`, () => change<Outcome>(server, 'POST', target, body));
}
