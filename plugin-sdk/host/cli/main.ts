import { Command, CommanderError } from 'commander';
import type { ServerOptions } from './client.js';
import { defineCommands } from './commands.js';
import { CliError, EXIT, toCliError } from './errors.js';
import { Output } from './output.js';

/* The `atoll` command. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no server, 4 not allowed, 5 not found. */

// Before parsing, because what is wrong with the arguments is told in the same form as everything else.
const json = process.argv.includes('--json');
const out = new Output(json);

// A reader that has seen enough (`| head`) is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(EXIT.OK);
});

const program = new Command('atoll')
  .description('Develop and operate Atoll plugins')
  .option('--json', 'print JSON, also for errors')
  .option('--server <url>', 'the server (ATOLL_URL, else where you have logged in, else http://127.0.0.1:7070)')
  .option('--key <key>', 'API key (ATOLL_ADMIN_KEY, else that of the login, else <data dir>/root.key)')
  .showSuggestionAfterError()
  // Errors are told below, in one form; help that nobody asked for is not JSON.
  .configureOutput({ outputError: () => {}, ...(json && { writeErr: () => {} }) })
  .exitOverride();

async function run(task: (out: Output, server: ServerOptions) => Promise<void>): Promise<void> {
  try {
    await task(out, program.opts<ServerOptions>());
  } catch (error) {
    fail(toCliError(error));
  }
}

function fail(error: CliError): void {
  out.error(error);
  process.exitCode = error.exitCode;
}

await defineCommands(program, run, process.argv.slice(2));
try {
  await program.parseAsync();
} catch (error) {
  if (!(error instanceof CommanderError)) throw error;
  // Help and version have been printed; the help of a group without a subcommand is an answer to wrong usage.
  if (error.exitCode !== 0) fail(usageError(error));
}

function usageError({ code, message }: CommanderError): CliError {
  const text =
    code === 'commander.help' ? 'A command is missing.' : message.replace(/^error: /, '').replace(/\s+/g, ' ');
  return new CliError(text, EXIT.USAGE, { hint: 'See `npm run atoll -- --help`.' });
}
