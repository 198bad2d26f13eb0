import { type Command, InvalidArgumentError, Option } from 'commander';
import { canaryCommand } from './canary.js';
import { request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { followCommand } from './follow.js';
import { type LogOptions, showLogs } from './logs.js';
import { type Output, table } from './output.js';
import { listPlugins, type Plugin } from './plugin-list.js';
import { permissionsCommand } from './plugin-permissions.js';
import { recordCommand } from './rehearse.js';
import { pluginAt } from './server-paths.js';

const summary = ({ id, version, state, reason }: Plugin) =>
  `${id}@${version} is ${state}${reason ? `: ${reason}` : ''}`;

/** `atoll plugins …`: what an operator does with a running server. */
export function pluginCommands(program: Command, run: Run): void {
  const plugins = program.command('plugins').description('plugins of a running server');
  plugins
    .command('list')
    .description('all plugins and their states')
    .action(() => run(list));
  plugins
    .command('show <id>')
    .description('everything about one plugin')
    .action((id: string) => run((out, server) => show(out, server, id)));
  change(plugins.command('enable <id>').description('start a plugin, now and at every start'), 'enable', run);
  change(
    plugins
      .command('disable <id>')
      .description('stop a plugin, now and at every start')
      .option('--cascade', 'also when other plugins need it'),
    'disable',
    run,
  );
  change(plugins.command('reload <id>').description('build a plugin anew and swap it in'), 'reload', run);
  permissionsCommand(plugins, run);
  canaryCommand(plugins, run);
  followCommand(plugins, run);
  recordCommand(plugins, run);
  plugins
    .command('logs <id>')
    .description('the latest log lines, oldest first')
    .option('--limit <n>', 'how many, at most 1000', lineCount, 100)
    .addOption(
      new Option('--level <level>', 'lines of at least this level')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('debug'),
    )
    .option('--follow', 'go on as new lines come')
    .action((id: string, options: LogOptions) => run((out, server) => showLogs(out, server, pluginAt(id), options)));
}

function lineCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 1000) throw new InvalidArgumentError('Expected 1 to 1000.');
  return count;
}

async function list(out: Output, server: ServerOptions): Promise<void> {
  const all = await listPlugins(server);
  const rows = all.map(({ id, version, state, reason }) => [id, version, state, reason ?? '']);
  out.result(all, table(['id', 'version', 'state', 'reason'], rows));
}

async function show(out: Output, server: ServerOptions, id: string): Promise<void> {
  const plugin = await request<Plugin>(server, 'GET', pluginAt(id));
  const rows = Object.entries(plugin).map(([key, value]) => [
    key,
    typeof value === 'string' ? value : (JSON.stringify(value) ?? ''),
  ]);
  out.result(plugin, table(['field', 'value'], rows));
}

function change(command: Command, action: string, run: Run): void {
  command.action((id: string, options: { cascade?: boolean }) =>
    run(async (out, server) => {
      const body = action === 'disable' ? { cascade: options.cascade === true } : {};
      const plugin = await request<Plugin>(server, 'POST', `${pluginAt(id)}/${action}`, body);
      out.result(plugin, summary(plugin));
    }),
  );
}
