import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { listPluginFolders } from '@atoll/registry';
import type { Command } from 'commander';
import type { ServerOptions } from './client.js';
import type { Run } from './command.js';
import { RemoteDev, type RemoteDevFlags } from './dev-remote.js';
import { CliError, EXIT } from './errors.js';
import { INSTALLATION } from './installation.js';
import type { Output } from './output.js';
import { withSigning } from './signed-package.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Runs a server with these plugin folders and live reload, until it ends. Resolves with its exit code. */
export async function runDev(folders: string[]): Promise<number> {
  for (const folder of folders) await assertPlugins(folder);
  const given = folders.map((folder) => path.resolve(folder)).filter((folder) => !isBuiltIn(folder));
  const before = (process.env.ATOLL_PLUGIN_PATH ?? '').split(':').filter((part) => part !== '');
  const env = {
    ...process.env,
    ATOLL_DEV: '1',
    ATOLL_PLUGIN_PATH: [...given, ...before].join(':'),
    // Not in a plugin's folder, should the command run there: every write to it would count as a change of the plugin.
    ATOLL_DATA_DIR: process.env.ATOLL_DATA_DIR ?? path.join(INSTALLATION, '.atoll'),
  };
  const child = spawn(process.execPath, [fileURLToPath(import.meta.resolve('@atoll/kernel/main'))], {
    stdio: 'inherit',
    env,
  });
  for (const signal of SIGNALS) process.on(signal, () => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

/** A manifest that is wrong from the start is better told before anything runs. */
async function assertPlugins(folder: string): Promise<void> {
  const hint = 'Name a folder whose package.json has an "atoll" field, or one that holds such folders.';
  if (!existsSync(folder)) throw new CliError(`${path.resolve(folder)} does not exist.`, EXIT.FAILURE, { hint });
  const { folders, problems } = await listPluginFolders(folder);
  if (problems[0]) throw problems[0].error;
  if (folders.length === 0) throw new CliError(`${path.resolve(folder)} holds no plugins.`, EXIT.FAILURE, { hint });
}

/** The server loads (and watches) the plugins of the installation anyhow. */
function isBuiltIn(folder: string): boolean {
  const plugins = path.join(INSTALLATION, 'plugins');
  return folder === plugins || path.dirname(folder) === plugins;
}

export function devCommand(program: Command, run: Run): void {
  withSigning(
    program
      .command('dev [folders...]')
      .description('run a server with these plugin folders; saving a file swaps the plugin')
      .option('--to <url>', 'instead, bring one folder to the server that runs there, for as long as this command runs')
      .option('--yes', 'with --to: agree to all permissions that are asked for'),
  ).action((folders: string[], { to, ...flags }: RemoteDevFlags & { to?: string }) =>
    run(async (out, server) => {
      if (to !== undefined) return runRemoteDev(out, { ...server, server: to }, folders, flags);
      process.exitCode = await runDev(folders);
    }),
  );
}

async function runRemoteDev(
  out: Output,
  server: ServerOptions,
  folders: readonly string[],
  flags: RemoteDevFlags,
): Promise<void> {
  const [folder, ...others] = folders;
  if (folder === undefined || others.length > 0) throw new CliError('--to takes one plugin folder.', EXIT.USAGE);
  await assertPlugins(folder);
  const ending = new AbortController();
  // A second signal ends it at once, with the plugin left where it is.
  for (const signal of SIGNALS) process.once(signal, () => ending.abort());
  await new RemoteDev(out, server, folder, flags).run(ending.signal);
}
