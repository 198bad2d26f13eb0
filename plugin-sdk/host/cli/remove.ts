import type { Command } from 'commander';
import { change, request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT, toCliError } from './errors.js';
import type { Output } from './output.js';
import { doneText, type Outcome, planText } from './plan-consent.js';
import { confirm } from './prompt.js';
import { pluginAt } from './server-paths.js';

interface RemoveFlags {
  cascade?: boolean;
  purge?: boolean;
  yes?: boolean;
  dryRun?: boolean;
}

interface Purged {
  id: string;
  rows: number;
  bytes: number;
}

/** `atoll remove`. */
export function removeCommand(program: Command, run: Run): void {
  program
    .command('remove <id>')
    .description('remove an installed plugin; what it has stored stays')
    .option('--cascade', 'also the plugins that need it')
    .option('--purge', 'also delete what they have stored')
    .option('--yes', 'do not ask before data is deleted')
    .option('--dry-run', 'only show what would be done')
    .action((id: string, flags: RemoveFlags) => run((out, server) => remove(out, server, id, flags)));
}

async function remove(out: Output, server: ServerOptions, id: string, flags: RemoveFlags): Promise<void> {
  const { cascade = false, purge = false, dryRun = false, yes = false } = flags;
  const send = (rehearse: boolean) => {
    const query = new URLSearchParams({ cascade: String(cascade), dryRun: String(rehearse) });
    return change<Outcome>(server, 'DELETE', `${pluginAt(id)}?${query}`);
  };
  const planned = await send(true);
  if (dryRun) return out.result(planned, planText(planned));
  const ids = planned.plan.filter(({ action }) => action === 'remove').map((step) => step.id);
  if (purge && !yes) await agreeToPurge(out, ids);
  const outcome = await out.step(`Removing ${ids.join(', ')}`, () => send(false));
  const purged: Purged[] = [];
  if (purge) for (const one of ids) purged.push(await purgeData(server, one));
  const lines = purged.map((one) => `deleted ${one.rows} documents and blobs of ${one.id}, ${one.bytes} bytes`);
  out.result({ ...outcome, ...(purge && { purged }) }, [doneText(outcome), ...lines].join('\n'));
}

async function agreeToPurge(out: Output, ids: readonly string[]): Promise<void> {
  const what = `This deletes everything that ${ids.join(', ')} ${ids.length === 1 ? 'has' : 'have'} stored.`;
  if (!out.interactive)
    throw new CliError(what, EXIT.USAGE, { hint: 'Repeat with --yes; `atoll data export` keeps a copy.' });
  if (!(await confirm(`${what} Do it?`))) throw new CliError('Nothing has changed.', EXIT.FAILURE);
}

async function purgeData(server: ServerOptions, id: string): Promise<Purged> {
  try {
    return { id, ...(await request<{ rows: number; bytes: number }>(server, 'DELETE', `${pluginAt(id)}/data`)) };
  } catch (cause) {
    const { exitCode, message, details } = toCliError(cause);
    // It is gone, and has stored nothing.
    if (exitCode === EXIT.NOT_FOUND) return { id, rows: 0, bytes: 0 };
    throw new CliError(`The plugin is removed, but the data of "${id}" is not deleted: ${message}`, exitCode, {
      ...details,
      hint: `Try \`atoll data purge ${id} --yes\`.`,
    });
  }
}
