import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { download, request, upload } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';

const at = (plugin: string) => `/api/v1/plugins/${encodeURIComponent(plugin)}/data`;

/** `atoll data …`: what one plugin has stored, on a running server. */
export function dataCommands(program: Command, run: Run): void {
  const data = program.command('data').description('what a plugin has stored on a running server');
  data
    .command('export <plugin> <file>')
    .description('write its documents and blobs into a file')
    .action((plugin: string, name: string) =>
      run(async (out, server) => {
        const file = path.resolve(name);
        if (existsSync(file)) throw new CliError(`${file} exists.`, EXIT.FAILURE, { hint: 'Name a new file.' });
        const bytes = await download(server, at(plugin), file);
        out.result({ file, bytes }, `Written to ${file}: ${bytes} bytes.`);
      }),
    );
  data
    .command('import <plugin> <file>')
    .description('add what was exported; documents of the same id are replaced')
    .action((plugin: string, name: string) =>
      run(async (out, server) => {
        const file = path.resolve(name);
        if (!existsSync(file)) throw new CliError(`${file} does not exist.`, EXIT.FAILURE);
        const done = await upload<{ documents: number; blobs: number }>(server, 'PUT', at(plugin), file);
        out.result(done, `Imported ${done.documents} documents and ${done.blobs} blobs.`);
      }),
    );
  data
    .command('purge <plugin>')
    .description('delete everything it has stored')
    .option('--yes', 'do it: there is no way back')
    .action((plugin: string, { yes = false }: { yes?: boolean }) =>
      run(async (out, server) => {
        if (!yes)
          throw new CliError(`This deletes everything that "${plugin}" has stored.`, EXIT.USAGE, {
            hint: 'Repeat with --yes; `atoll data export` keeps a copy.',
          });
        const gone = await request<{ rows: number; bytes: number }>(server, 'DELETE', at(plugin));
        out.result(gone, `Deleted ${gone.rows} documents and blobs, ${gone.bytes} bytes.`);
      }),
    );
}
