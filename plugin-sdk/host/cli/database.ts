import { existsSync } from 'node:fs';
import path from 'node:path';
import { loadConfig } from '@atoll/kernel/config';
import { type BackupSummary, type CheckReport, DatabaseAdmin } from '@atoll/kernel/database';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Command } from 'commander';
import { download, request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { INSTALLATION } from './installation.js';
import { type Output, table } from './output.js';

/**
 * `atoll db …`: directly on the database where no server has it, else through the server. What would pull the database from under a
 * running server is refused.
 */
export function databaseCommands(program: Command, run: Run): void {
  const db = program.command('db').description('the database: embedded in the data directory, or at DATABASE_URL');
  db.command('migrate')
    .description('apply pending migrations (a server does that when it starts)')
    .action(() => run(migrate));
  db.command('rollback')
    .description('undo the latest migration; no server may run')
    .option('--to <name>', 'undo all after this one; 0 for all')
    .action(({ to }: { to?: string }) =>
      run(async (out) => {
        const undone = await (await admin()).rollback(to);
        out.result({ undone }, undone.length === 0 ? 'There is nothing to undo.' : `Undone: ${undone.join(', ')}.`);
      }),
    );
  db.command('backup <file>')
    .description('write everything into a file that either kind of database can be restored from')
    .action((file: string) => run((out, server) => backup(out, server, path.resolve(file))));
  db.command('restore <file>')
    .description('replace the database by a backup; no server may run')
    .option('--force', 'drop what is in the PostgreSQL database (of an embedded one the old folder is kept)')
    .action((file: string, { force = false }: { force?: boolean }) =>
      run((out) => restore(out, path.resolve(file), force)),
    );
  db.command('check')
    .description('read everything, and tell what does not fit together')
    .action(() => run(check));
}

async function admin(): Promise<DatabaseAdmin> {
  const { config } = await loadConfig({ configDir: path.join(INSTALLATION, 'config'), env: process.env });
  const { dataDir } = config.server;
  // As a server started here, or in the installation, would have it.
  const found = [path.resolve(dataDir), path.resolve(INSTALLATION, dataDir)].find((dir) => existsSync(dir));
  return new DatabaseAdmin(config, found ?? path.resolve(dataDir));
}

/** The first way, or the second when a server has the database. */
async function direct<T>(work: (admin: DatabaseAdmin) => Promise<T>, running: () => Promise<T>): Promise<T> {
  try {
    return await work(await admin());
  } catch (error) {
    if (error instanceof AtollError && error.code === 'DATABASE_LOCKED') return running();
    throw error;
  }
}

async function migrate(out: Output, server: ServerOptions): Promise<void> {
  const applied = await direct(
    (own) => own.migrate(),
    async () => {
      // It has migrated when it started; that it answers says so.
      await request(server, 'GET', '/api/v1/database');
      return [];
    },
  );
  out.result({ applied }, applied.length === 0 ? 'Nothing is pending.' : `Applied: ${applied.join(', ')}.`);
}

async function backup(out: Output, server: ServerOptions, file: string): Promise<void> {
  if (existsSync(file)) throw new CliError(`${file} exists.`, EXIT.FAILURE, { hint: 'Name a new file.' });
  const summary: Partial<BackupSummary> = await direct(
    (own) => own.backup(file),
    async () => {
      await download(server, '/api/v1/database/backup', file);
      return {};
    },
  );
  const what = summary.rows === undefined ? '' : `: ${summary.rows} rows of ${summary.tables} tables`;
  out.result({ file, ...summary }, `Written to ${file}${what}.`);
}

async function restore(out: Output, file: string, force: boolean): Promise<void> {
  if (!existsSync(file)) throw new CliError(`${file} does not exist.`, EXIT.FAILURE);
  const restored = await (await admin()).restore(file, force);
  const kept = restored.kept === undefined ? '' : `\nThe old database is kept in ${restored.kept}.`;
  out.result(restored, `Restored ${restored.rows} rows of ${restored.tables} tables.${kept}`);
}

async function check(out: Output, server: ServerOptions): Promise<void> {
  const report = await direct(
    (own) => own.check(),
    () => request<CheckReport>(server, 'GET', '/api/v1/database'),
  );
  const rows = report.tables.map(({ name, rows, bytes }) => [name, String(rows), String(bytes)]);
  const head = `${report.engine === 'embedded' ? 'Embedded' : 'Server'}, PostgreSQL ${report.version}, ${report.bytes} bytes`;
  const verdict = report.problems.length === 0 ? 'No problems.' : report.problems.join('\n');
  out.result(report, `${head}\n${table(['table', 'rows', 'bytes'], rows)}\n${verdict}`);
  if (report.problems.length > 0) process.exitCode = EXIT.FAILURE;
}
