import { Command, CommanderError, Option } from 'commander';
import { auditCommands } from './audit.js';
import { buildPlugin } from './build.js';
import type { ServerOptions } from './client.js';
import { printConfig } from './config.js';
import { createPlugin, nextSteps } from './create.js';
import { dataCommands } from './data.js';
import { databaseCommands } from './database.js';
import { runDev } from './dev.js';
import { CliError, EXIT, toCliError } from './errors.js';
import { keyCommands } from './keys.js';
import { loginCommands } from './login.js';
import { marketplaceCommands } from './marketplace.js';
import { Output } from './output.js';
import { packCommand } from './pack.js';
import { pluginCommands } from './plugins.js';
import { registryCommands } from './registry.js';
import { secretCommands } from './secrets.js';
import { TEMPLATES, type TemplateName } from './templates/index.js';
import { testCommand } from './test-plugin-folder.js';
import { verifyCommand } from './verify.js';

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

program
  .command('create <name>')
  .description('write a new plugin into a folder of that name')
  .addOption(new Option('--template <name>', 'what to start from').choices(Object.keys(TEMPLATES)).default('http'))
  .action((name: string, { template }: { template: TemplateName }) =>
    run(async () => {
      const created = createPlugin(name, process.cwd(), template);
      out.result(created, nextSteps(created, process.cwd()));
    }),
  );
program
  .command('dev [folders...]')
  .description('run a server with these plugin folders; saving a file swaps the plugin')
  .action((folders: string[]) =>
    run(async () => {
      process.exitCode = await runDev(folders);
    }),
  );
program
  .command('build <folder>')
  .description('check a plugin and bundle it as the server would')
  .option('--out <dir>', 'write the bundle and its source map here')
  .action((folder: string, { out: dir }: { out?: string }) =>
    run(async () => {
      const built = await buildPlugin(folder, dir);
      const size = `${built.id}@${built.version}: ${built.bytes} bytes, sha256 ${built.sha256}`;
      out.result(built, built.out ? `${size}\n${built.out}` : size);
    }),
  );
testCommand(program, run);
packCommand(program, run);
verifyCommand(program, run);
keyCommands(program, run);
registryCommands(program, run);
program
  .command('config')
  .description('configuration')
  .command('print')
  .description('every key, its value and where it comes from')
  .action(() => run(() => printConfig(out)));
loginCommands(program, run);
marketplaceCommands(program, run);
pluginCommands(program, run);
auditCommands(program, run);
secretCommands(program, run);
dataCommands(program, run);
databaseCommands(program, run);

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
