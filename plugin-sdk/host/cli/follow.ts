import { type Command, Argument } from 'commander';
import { change } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { pluginAt } from './server-paths.js';

interface Followed {
  id: string;
  version: string;
  follows?: string;
  pendingUpgrade?: { version: string; reason: string };
}

/** `atoll plugins follow`. */
export function followCommand(plugins: Command, run: Run): void {
  plugins
    .command('follow <id>')
    .description('swap new versions of a channel in as they appear')
    .addArgument(new Argument('[channel]', 'which').choices(['latest', 'next']))
    .option('--off', 'no longer')
    .action((id: string, named: string | undefined, { off = false }: { off?: boolean }) =>
      run(async (out, server) => {
        if (off && named !== undefined) throw new CliError('Either a channel or --off.', EXIT.USAGE);
        const channel = off ? null : (named ?? 'latest');
        const plugin = await change<Followed>(server, 'PUT', `${pluginAt(id)}/follow`, { channel });
        out.result(plugin, textOf(plugin));
      }),
    );
}

function textOf({ id, version, follows, pendingUpgrade }: Followed): string {
  if (follows === undefined) return `${id}@${version} follows no channel.`;
  const waits = pendingUpgrade ? `\n${id}@${pendingUpgrade.version} waits: ${pendingUpgrade.reason}` : '';
  return `${id}@${version} follows ${follows}.${waits}`;
}
