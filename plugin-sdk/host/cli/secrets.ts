import type { Command } from 'commander';
import { request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { type Output, table } from './output.js';
import { askSecret } from './prompt.js';

interface SecretInfo {
  name: string;
  source: string;
  hosts: string[];
  plugins: string[];
  version?: number;
}

interface Rotation {
  key: string;
  state: 'done' | 'running' | 'incomplete';
  left: number;
}

interface SetFlags {
  host?: string[];
  plugin?: string[];
}

const BASE = '/api/v1/secrets';
const at = (name: string, ...rest: string[]) => [BASE, ...[name, ...rest].map(encodeURIComponent)].join('/');
const POLL_MS = 500;
const MAX_VALUE_BYTES = 65_536;

/** `atoll secrets …`: what plugins may send and never see, on a running server. */
export function secretCommands(program: Command, run: Run): void {
  const secrets = program.command('secrets').description('secrets of a running server; their values are never shown');
  secrets
    .command('list')
    .description('names, hosts and plugins')
    .action(() => run(list));
  secrets
    .command('set <name>')
    .description('create a secret or give it a new value, which is read from stdin or asked for')
    .option('--host <host...>', 'where it may be sent: host or host:port')
    .option('--plugin <id...>', 'plugins that may use it if they ask for it; "*" for all of those')
    .action((name: string, flags: SetFlags) => run((out, server) => set(out, server, name, flags)));
  secrets
    .command('grant <name> <plugin>')
    .description('let a plugin use it if its manifest asks for it; "*" is every such plugin')
    .action((name: string, plugin: string) =>
      run(async (out, server) => {
        const info = await request<SecretInfo>(server, 'PUT', at(name, 'grants', plugin));
        out.result(info, `${name} is granted to ${info.plugins.join(', ')}.`);
      }),
    );
  secrets
    .command('revoke <name> <plugin>')
    .description('take it away from a plugin')
    .action((name: string, plugin: string) =>
      run(async (out, server) => {
        await request(server, 'DELETE', at(name, 'grants', plugin));
        out.result({ name, revoked: plugin }, `${name} is no longer granted to ${plugin}.`);
      }),
    );
  versionCommands(secrets, run);
  secrets
    .command('rotate-master')
    .description('exchange the master key that protects them; everything stays usable meanwhile')
    .option('--without-old', 'the key in use is lost: go on without what it protects')
    .action(({ withoutOld = false }: { withoutOld?: boolean }) =>
      run((out, server) => rotate(out, server, withoutOld)),
    );
}

function versionCommands(secrets: Command, run: Run): void {
  secrets
    .command('versions <name>')
    .description('versions of a secret, the latest first')
    .action((name: string) =>
      run(async (out, server) => {
        const found = await request<{
          items: { version: number; active: boolean; createdAt: string; createdBy: string }[];
        }>(server, 'GET', at(name, 'versions'));
        const rows = found.items.map((one) => [
          `${one.version}${one.active ? ' *' : ''}`,
          one.createdAt,
          one.createdBy,
        ]);
        out.result(found.items, table(['version', 'created', 'by'], rows));
      }),
    );
  secrets
    .command('activate <name> <version>')
    .description('use this version from now on, such as the one before')
    .action((name: string, version: string) =>
      run(async (out, server) => {
        const info = await request<SecretInfo>(server, 'POST', at(name, 'versions', version, 'activate'));
        out.result(info, `${name}: version ${info.version} is used.`);
      }),
    );
  secrets
    .command('remove <name>')
    .description('remove it with all its versions')
    .option('--yes', 'do it: there is no way back')
    .action((name: string, { yes = false }: { yes?: boolean }) =>
      run(async (out, server) => {
        if (!yes)
          throw new CliError(`This removes ${name} with all its versions.`, EXIT.USAGE, { hint: 'Repeat with --yes.' });
        await request(server, 'DELETE', at(name));
        out.result({ removed: name }, `${name} is removed.`);
      }),
    );
}

async function list(out: Output, server: ServerOptions): Promise<void> {
  const { items } = await request<{ items: SecretInfo[] }>(server, 'GET', BASE);
  const rows = items.map(({ name, source, version, hosts, plugins }) => [
    name,
    version === undefined ? source : `version ${version}`,
    hosts.join(', ') || '(nowhere)',
    plugins.join(', ') || '(none)',
  ]);
  out.result(items, items.length === 0 ? 'There are no secrets.' : table(['name', 'value', 'hosts', 'plugins'], rows));
}

async function set(out: Output, server: ServerOptions, name: string, { host, plugin }: SetFlags): Promise<void> {
  const { items } = await request<{ items: SecretInfo[] }>(server, 'GET', BASE);
  const known = items.some((secret) => secret.name === name && secret.source === 'api');
  const value = await readValue(out, name);
  if (!known) {
    const body = { name, value, hosts: host ?? [], plugins: plugin ?? [] };
    await request(server, 'POST', BASE, body);
  } else {
    if (host) await request(server, 'PATCH', at(name), { hosts: host });
    for (const id of plugin ?? []) await request(server, 'PUT', at(name, 'grants', id));
    await request(server, 'POST', at(name, 'versions'), { value });
  }
  const info = await request<SecretInfo>(server, 'GET', at(name));
  const missing = [
    info.hosts.length === 0 && `no host: atoll secrets set ${name} --host <host>`,
    info.plugins.length === 0 && `no plugin: atoll secrets grant ${name} <plugin>`,
  ].filter((text) => text !== false);
  const text = `${name}: version ${info.version} is set.`;
  out.result(info, [text, ...missing.map((what) => `It can't be used yet: ${what}`)].join('\n'));
}

/** Never from the command line: that is in the shell's history, and everybody on the machine sees it. */
async function readValue(out: Output, name: string): Promise<string> {
  if (process.stdin.isTTY === true && !out.interactive)
    throw new CliError('The value is read from stdin.', EXIT.USAGE, {
      hint: `Such as: atoll secrets set ${name} < file`,
    });
  const value = out.interactive ? await askSecret(`Value of ${name} (not shown): `) : await readInput();
  if (value === '')
    throw new CliError('There is no value.', EXIT.USAGE, { hint: `Such as: atoll secrets set ${name} < file` });
  return value;
}

/** Without the line break that editors and `echo` put at the end. */
async function readInput(): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_VALUE_BYTES) throw new CliError('The value is too long for a header.', EXIT.FAILURE);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
}

async function rotate(out: Output, server: ServerOptions, withoutOld: boolean): Promise<void> {
  const done = await out.step('Exchanging the master key', async () => {
    let now = await request<Rotation>(server, 'POST', `${BASE}/rotate`, { withoutOld });
    while (now.state === 'running') {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      now = await request<Rotation>(server, 'GET', `${BASE}/rotate`);
    }
    return now;
  });
  if (done.state === 'done') {
    const hint = 'The previous key is no longer needed, but for older backups.';
    return out.result(done, `Everything is under the master key ${done.key}. ${hint}`);
  }
  throw new CliError(`${done.left} sealed values can't be opened: their key is not there.`, EXIT.FAILURE, {
    hint: 'Start with ATOLL_MASTER_KEY_PREVIOUS set to that key and repeat, or set those secrets anew.',
  });
}
