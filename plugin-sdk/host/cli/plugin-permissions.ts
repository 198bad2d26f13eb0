import { readFile } from 'node:fs/promises';
import { type Command, Option } from 'commander';
import { request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { type Output, table } from './output.js';
import { pluginAt } from './server-paths.js';

interface PermissionSet {
  events: { publish: string[]; subscribe: string[] };
  [kind: string]: boolean | string[] | { publish: string[]; subscribe: string[] };
}

interface View {
  asked: PermissionSet;
  granted: PermissionSet;
  narrowed: PermissionSet | null;
  observing: boolean;
  refused: number;
}

interface Counted {
  kind: string;
  value?: string;
  count: number;
  last: string;
}

interface Usage {
  observing: boolean;
  used: Counted[];
  refused: Counted[];
  proposal: PermissionSet | null;
}

interface Flags {
  revoke?: string[];
  narrow?: string;
  reset?: boolean;
  observe?: 'on' | 'off';
  usage?: boolean;
}

/** `atoll plugins permissions`: what a plugin may, changed while it runs. */
export function permissionsCommand(plugins: Command, run: Run): void {
  plugins
    .command('permissions <id>')
    .description('what a plugin asks for and has; taken away or given back from its next call on')
    .option('--revoke <permission>', 'take one away: storage, net, net=https://… (repeat for more)', collect)
    .option('--narrow <file>', 'leave it what this JSON file says (as the proposal of --usage)')
    .option('--reset', 'give it back all that it asks for')
    .addOption(new Option('--observe <on|off>', 'record what it uses, or end that').choices(['on', 'off']))
    .option('--usage', 'show what it was seen to use and was refused, and the least set that would do')
    .action((id: string, flags: Flags) => run((out, server) => act(out, server, `${pluginAt(id)}/permissions`, flags)));
}

const collect = (text: string, before: string[] = []): string[] => [...before, text];

async function act(out: Output, server: ServerOptions, target: string, flags: Flags): Promise<void> {
  const { revoke, narrow, reset, observe, usage } = flags;
  if ([revoke, narrow, reset, observe, usage].filter((flag) => flag !== undefined).length > 1)
    throw new CliError('One of --revoke, --narrow, --reset, --observe and --usage at a time.', EXIT.USAGE);
  if (usage) return showUsage(out, await request<Usage>(server, 'GET', `${target}/usage`));
  show(out, await changed(server, target, flags));
}

async function changed(
  server: ServerOptions,
  target: string,
  { revoke, narrow, reset, observe }: Flags,
): Promise<View> {
  if (reset) return request<View>(server, 'DELETE', target);
  if (observe) return request<View>(server, 'PUT', `${target}/observe`, { observe: observe === 'on' });
  if (narrow !== undefined) return request<View>(server, 'PUT', target, await readSet(narrow));
  const view = await request<View>(server, 'GET', target);
  if (!revoke) return view;
  const left = structuredClone(view.granted);
  for (const permission of revoke) takeAway(left, permission);
  return request<View>(server, 'PUT', target, left);
}

async function readSet(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new CliError(`${file} can't be read as JSON: ${(error as Error).message}`, EXIT.USAGE);
  }
}

/** `kind` takes all of it away, `kind=value` one entry. */
function takeAway(set: PermissionSet, permission: string): void {
  const [kind = '', value] = permission.split(/=(.*)/s, 2);
  const parent = kind.startsWith('events.')
    ? (set.events as Record<string, unknown>)
    : (set as Record<string, unknown>);
  const name = kind.replace(/^events\./, '');
  const held = Object.hasOwn(parent, name) ? parent[name] : undefined;
  if (typeof held === 'boolean' && value === undefined && held) parent[name] = false;
  else if (Array.isArray(held) && (value === undefined ? held.length > 0 : held.includes(value)))
    parent[name] = value === undefined ? [] : held.filter((one) => one !== value);
  else {
    const hint = 'Without flags, the command lists what it has. A part of an entry is taken away with --narrow.';
    throw new CliError(`It does not have "${permission}".`, EXIT.USAGE, { hint });
  }
}

function linesOf(set: PermissionSet): string[] {
  return Object.entries(set).flatMap(([kind, held]) => {
    if (held === true) return [kind];
    if (Array.isArray(held)) return held.map((value) => `${kind} ${value}`);
    if (typeof held !== 'object') return [];
    return Object.entries(held).flatMap(([side, topics]) => topics.map((topic) => `${kind}.${side} ${topic}`));
  });
}

function show(out: Output, view: View): void {
  const granted = linesOf(view.granted);
  const all = [...new Set([...linesOf(view.asked), ...granted])];
  const rows = all.map((line) => [line, granted.includes(line) ? 'granted' : 'taken away']);
  const notes = [
    ...(view.observing ? ['It is observed: see --usage.'] : []),
    ...(view.refused > 0 ? [`${view.refused} of its calls were refused: see --usage.`] : []),
  ];
  out.result(view, [rows.length > 0 ? table(['permission', ''], rows) : 'It asks for nothing.', ...notes].join('\n'));
}

function showUsage(out: Output, usage: Usage): void {
  const row =
    (what: string) =>
    ({ kind, value, count, last }: Counted) => [what, kind, value ?? '', String(count), last];
  const rows = [...usage.used.map(row('used')), ...usage.refused.map(row('refused'))];
  const hint = usage.proposal
    ? `The least set that would do, for --narrow:\n${JSON.stringify(usage.proposal, null, 2)}`
    : 'Nothing was observed: begin with --observe on.';
  out.result(usage, `${rows.length > 0 ? `${table(['', 'kind', 'value', 'count', 'last'], rows)}\n` : ''}${hint}`);
}
