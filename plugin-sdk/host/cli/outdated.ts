import type { Command } from 'commander';
import { change, request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import type { Offer } from './marketplace-browse.js';
import { table } from './output.js';
import type { Outcome } from './plan-consent.js';
import { listPlugins } from './plugin-list.js';
import { offerAt, pluginAt } from './server-paths.js';

export interface Outdated {
  id: string;
  installed: string;
  /** The version that an upgrade would take; absent when none can be had. */
  wanted?: string;
  latest: string;
  /** Why it can't be upgraded, or what the upgrade needs. */
  note?: string;
}

/** Requests under way at a time. */
const AT_ONCE = 8;

export function outdatedCommand(program: Command, run: Run): void {
  program
    .command('outdated')
    .description('installed plugins of which the marketplace has a newer version')
    .action(() =>
      run(async (out, server) => {
        const found = await out.step('Comparing versions', () => findOutdated(server));
        const rows = found.map(({ id, installed, wanted, latest, note }) => [
          id,
          installed,
          wanted ?? '',
          latest,
          note ?? '',
        ]);
        const text = table(['id', 'installed', 'wanted', 'latest', 'note'], rows);
        out.result(found, rows.length === 0 ? 'Every plugin is up to date.' : text);
      }),
    );
}

/** In the order of the plugins' ids. */
export async function findOutdated(server: ServerOptions): Promise<Outdated[]> {
  const plugins = await listPlugins(server);
  const found: (Outdated | undefined)[] = [];
  for (let at = 0; at < plugins.length; at += AT_ONCE) {
    const some = plugins.slice(at, at + AT_ONCE);
    found.push(...(await Promise.all(some.map(({ id, version }) => compare(server, id, version)))));
  }
  return found.filter((one) => one !== undefined);
}

async function compare(server: ServerOptions, id: string, installed: string): Promise<Outdated | undefined> {
  const latest = await latestOf(server, id);
  if (latest === undefined || latest === installed) return undefined;
  try {
    // What an upgrade would do is for the server to say: it knows what fits its other plugins and itself.
    const { plan, needConsent } = await change<Outcome>(server, 'POST', `${pluginAt(id)}/upgrade`, { dryRun: true });
    const step = plan.find((one) => one.id === id);
    if (step?.to === undefined || step.action !== 'upgrade') return undefined;
    const note = needConsent.includes(id) ? { note: 'asks for more permissions' } : {};
    return { id, installed, wanted: step.to, latest, ...note };
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.FAILURE)
      return { id, installed, latest, note: error.message };
    throw error;
  }
}

/** Undefined for plugins that the marketplace does not have. */
async function latestOf(server: ServerOptions, id: string): Promise<string | undefined> {
  try {
    return (await request<Offer>(server, 'GET', offerAt(id))).channels.latest;
  } catch (error) {
    if (error instanceof CliError && error.exitCode === EXIT.NOT_FOUND) return undefined;
    throw error;
  }
}
