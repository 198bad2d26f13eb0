import { existsSync } from 'node:fs';
import path from 'node:path';
import { PackageStore, type SignaturePolicy } from '@atoll/registry';
import { type Command, Option } from 'commander';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { INSTALLATION } from './installation.js';
import type { Output } from './output.js';

export interface StoreFlags {
  store?: string;
  signatures: SignaturePolicy;
}

/** Options of commands that work on a store's folder. */
export function withStore(command: Command): Command {
  return command
    .option('--store <folder>', 'the plugin store (default: registry/ in the data directory)')
    .addOption(
      new Option('--signatures <policy>', 'what packages of others need; `required` means a key you trust')
        .choices(['required', 'first-use'])
        .default('first-use'),
    );
}

/** The data directory: ATOLL_DATA_DIR, or `.atoll` here, or that of the installation. */
function dataDir(): string {
  if (process.env.ATOLL_DATA_DIR) return path.resolve(process.env.ATOLL_DATA_DIR);
  const here = path.resolve('.atoll');
  return existsSync(here) ? here : path.join(INSTALLATION, '.atoll');
}

/** Runs a task on the store, and tells on stderr what opening it had to repair. */
export function onStore(
  run: Run,
  flags: StoreFlags,
  task: (store: PackageStore, out: Output) => Promise<void>,
): Promise<void> {
  return run(async (out) => {
    const folder = flags.store ?? path.join(dataDir(), 'registry');
    const store = await PackageStore.open({ folder, signatures: flags.signatures });
    try {
      for (const line of damageOf(store)) process.stderr.write(`${line}\n`);
      await task(store, out);
    } finally {
      store.close();
    }
  });
}

function damageOf({ report: { damagedCopies, rebuilt, problems } }: PackageStore): string[] {
  return [
    ...damagedCopies.map((file) => `warning: ${file} was damaged and has been written anew.`),
    ...(rebuilt
      ? ['warning: the index was rebuilt from the packages; confirm their keys with `atoll keys trust`.']
      : []),
    ...problems.map((problem) => `warning: ${problem}`),
  ];
}

/** `name@range` or `name`; the name may have a scope. */
export function parseSpec(spec: string): { name: string; range: string | undefined } {
  const at = spec.lastIndexOf('@');
  return at > 0 ? { name: spec.slice(0, at), range: spec.slice(at + 1) } : { name: spec, range: undefined };
}

/** `id@version`, both of which have to be there. */
export function parseExact(spec: string): { id: string; version: string } {
  const { name, range } = parseSpec(spec);
  if (range === undefined || range === '') {
    throw new CliError(`"${spec}" names no version.`, EXIT.USAGE, {
      hint: 'Write <id>@<version>, such as greeter@1.0.0.',
    });
  }
  return { id: name, version: range };
}
