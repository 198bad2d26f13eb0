import type { Command } from 'commander';
import { type CanaryFlags, canaryText, toCanary, withCanary } from './canary.js';
import type { ServerOptions } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT, toCliError } from './errors.js';
import { carryOut, type InstallFlags, withConsent, withState } from './marketplace-install.js';
import { findOutdated, type Outdated } from './outdated.js';
import { type Output, table } from './output.js';
import { doneText, planText } from './plan-consent.js';
import { pluginAt } from './server-paths.js';
import { parseSpec } from './store.js';

interface Upgraded {
  id: string;
  from: string;
  to?: string;
  done: boolean;
  error?: string;
  code?: string;
}

type UpgradeFlags = InstallFlags & CanaryFlags & { rehearse?: boolean };

/** `atoll upgrade`. */
export function upgradeCommand(program: Command, run: Run): void {
  withCanary(
    withState(
      withConsent(
        program
          .command('upgrade [id[@version]]')
          .description(
            'swap in the newest version of a plugin, or the one named; requests under way end on the old one',
          )
          .option('--all', 'all plugins of which there is a newer version')
          .option('--rehearse', 'only when it does the recorded calls as the running version')
          .option('--no-rehearse', 'without a rehearsal, whatever is configured'),
      ),
    ),
  ).action((spec: string | undefined, { all = false, ...flags }: UpgradeFlags & { all?: boolean }) =>
    run(async (out, server) => {
      if (all && toCanary(flags)) throw new CliError('A canary is of one plugin: name it.', EXIT.USAGE);
      if ((spec === undefined) !== all)
        throw new CliError('Name one plugin, or give --all.', EXIT.USAGE, { hint: '`atoll outdated` lists them.' });
      await (spec === undefined ? upgradeAll(out, server, flags) : upgradeOne(out, server, spec, flags));
    }),
  );
}

const upgradeOf = (id: string, range?: string) => ({ target: `${pluginAt(id)}/upgrade`, id, range });

async function upgradeOne(out: Output, server: ServerOptions, spec: string, flags: UpgradeFlags): Promise<void> {
  const { name, range } = parseSpec(spec);
  const outcome = await carryOut(
    out,
    server,
    { ...upgradeOf(name, range), canary: toCanary(flags), rehearse: flags.rehearse },
    flags,
  );
  const { done, canary } = outcome;
  out.result(outcome, canary ? canaryText(canary) : done ? doneText(outcome) : planText(outcome));
}

/** One after the other: what can't be upgraded does not keep the others back. */
async function upgradeAll(out: Output, server: ServerOptions, flags: InstallFlags): Promise<void> {
  const outdated = await out.step('Comparing versions', () => findOutdated(server));
  const results: Upgraded[] = [];
  for (const one of outdated) results.push(await attempt(out, server, one, flags));
  const rows = results.map(({ id, from, to, done, error }) => [
    id,
    from,
    to ?? '',
    error ?? (done ? 'done' : 'would be done'),
  ]);
  out.result(results, rows.length === 0 ? 'Every plugin is up to date.' : table(['id', 'from', 'to', 'outcome'], rows));
  if (results.some(({ error }) => error !== undefined)) process.exitCode = EXIT.FAILURE;
}

async function attempt(
  out: Output,
  server: ServerOptions,
  { id, installed, wanted, note }: Outdated,
  flags: InstallFlags,
): Promise<Upgraded> {
  const told = { id, from: installed, ...(wanted !== undefined && { to: wanted }) };
  if (wanted === undefined) return { ...told, done: false, error: note ?? 'No newer version can be had.' };
  try {
    const { done } = await carryOut(out, server, upgradeOf(id), flags);
    return { ...told, done };
  } catch (error) {
    const { message, details, exitCode } = toCliError(error);
    // Without a server or with a key that may not, the others would fare no better.
    if (exitCode === EXIT.UNREACHABLE || exitCode === EXIT.AUTH) throw error;
    return { ...told, done: false, error: message, ...(details.code !== undefined && { code: details.code }) };
  }
}
