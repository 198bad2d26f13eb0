import { existsSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import type { Command } from 'commander';
import { request, type ServerOptions, serverUrl } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { askSecret, isInteractive } from './prompt.js';
import { forgetLogin, loginFile, saveLogin } from './saved-login.js';

/** `atoll login` and `logout`: the server that commands work on, and the key for it. */
export function loginCommands(program: Command, run: Run): void {
  program
    .command('login')
    .description('keep --server and --key for the commands that follow, once the server has taken them')
    .action(() =>
      run(async (out, given) => {
        const server = serverUrl(given);
        const key = await keyFor(given, server);
        await out.step(`Asking ${server}`, () => request({ server, key }, 'GET', '/api/v1/plugins?limit=1'));
        saveLogin({ server, key });
        out.result({ server, file: loginFile() }, `Logged in to ${server}; the key is in ${loginFile()}.`);
      }),
    );
  program
    .command('logout')
    .description('forget the server and the key')
    .action(() =>
      run(async (out) => {
        const file = loginFile();
        const forgotten = existsSync(file);
        forgetLogin();
        out.result({ file, forgotten }, forgotten ? `${file} is deleted.` : 'You were not logged in.');
      }),
    );
}

/** A key on the command line stays in the shell's history, so it can come from the terminal or a pipe as well. */
async function keyFor({ key = process.env.ATOLL_ADMIN_KEY }: ServerOptions, server: string): Promise<string> {
  const found = key ?? (isInteractive() ? await askSecret(`Key for ${server}: `) : (await text(process.stdin)).trim());
  if (found !== '') return found;
  throw new CliError('There is no key to log in with.', EXIT.USAGE, {
    hint: 'Pass --key, or give it on the standard input: `atoll login < .atoll/root.key`.',
  });
}
