import type { Command } from 'commander';
import type { Run } from './command.js';

type Define = (program: Command, run: Run) => void;

/** Commands by what defines them, in the order of the help. Some stand on the database or the bundler, which take a while to load. */
const GROUPS: [names: string[], load: () => Promise<Define>][] = [
  [['create'], async () => (await import('./create.js')).createCommand],
  [['dev'], async () => (await import('./dev.js')).devCommand],
  [['build'], async () => (await import('./build.js')).buildCommand],
  [['test'], async () => (await import('./test-plugin-folder.js')).testCommand],
  [['pack'], async () => (await import('./pack.js')).packCommand],
  [['verify'], async () => (await import('./verify.js')).verifyCommand],
  [['keys'], async () => (await import('./keys.js')).keyCommands],
  [['registry'], async () => (await import('./registry.js')).registryCommands],
  [['config'], async () => (await import('./config.js')).configCommands],
  [['login', 'logout'], async () => (await import('./login.js')).loginCommands],
  [
    ['search', 'info', 'outdated', 'install', 'rollback', 'upgrade', 'rehearse', 'remove', 'publish', 'yank', 'unyank'],
    async () => (await import('./marketplace.js')).marketplaceCommands,
  ],
  [['plugins'], async () => (await import('./plugins.js')).pluginCommands],
  [['audit'], async () => (await import('./audit.js')).auditCommands],
  [['secrets'], async () => (await import('./secrets.js')).secretCommands],
  [['data'], async () => (await import('./data.js')).dataCommands],
  [['db'], async () => (await import('./database.js')).databaseCommands],
];

/** Defines the command that is asked for; all of them when that can't be told, or when it is help that is asked for. */
export async function defineCommands(program: Command, run: Run, args: readonly string[]): Promise<void> {
  const name = args.find((arg) => !arg.startsWith('-'));
  const wanted = GROUPS.filter(([names]) => name !== undefined && names.includes(name));
  for (const [, load] of wanted.length > 0 ? wanted : GROUPS) (await load())(program, run);
}
