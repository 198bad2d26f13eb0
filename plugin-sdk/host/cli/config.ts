import path from 'node:path';
import { describeConfig, loadConfig } from '@atoll/kernel/config';
import type { Command } from 'commander';
import type { Run } from './command.js';
import { INSTALLATION } from './installation.js';
import { type Output, table } from './output.js';

/** Every key with its value (secrets masked), where that comes from and what it means. */
export async function printConfig(out: Output): Promise<void> {
  const lines = describeConfig(await loadConfig({ configDir: path.join(INSTALLATION, 'config'), env: process.env }));
  const rows = lines.map(({ key, value, source, description }) => [
    key,
    JSON.stringify(value) ?? '',
    path.isAbsolute(source) ? path.relative(INSTALLATION, source) : source,
    description,
  ]);
  out.result(lines, table(['key', 'value', 'source', 'meaning'], rows));
}

export function configCommands(program: Command, run: Run): void {
  program
    .command('config')
    .description('configuration')
    .command('print')
    .description('every key, its value and where it comes from')
    .action(() => run(printConfig));
}
