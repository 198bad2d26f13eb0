import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { download, request } from './client.js';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';

interface AuditReport {
  intact: boolean;
  entries: number;
  firstSeq: number;
  lastSeq: number;
  problems: { seq?: number; problem: string }[];
}

/** `atoll audit …`: the audit trail of a running server. */
export function auditCommands(program: Command, run: Run): void {
  const audit = program.command('audit').description('who did what on a running server');
  audit
    .command('verify')
    .description('check that no entry was altered and none is missing')
    .action(() =>
      run(async (out, server) => {
        const report = await request<AuditReport>(server, 'GET', '/api/v1/audit/verify');
        if (!report.intact) {
          const lines = report.problems.map(({ seq, problem }) => (seq === undefined ? problem : `${seq}: ${problem}`));
          throw new CliError(`The audit trail is not intact:\n${lines.join('\n')}`, EXIT.FAILURE, {
            hint: 'Compare it with an export or a backup from before.',
          });
        }
        const { entries, firstSeq, lastSeq } = report;
        out.result(report, `Intact: ${entries} entries, ${firstSeq} to ${lastSeq}.`);
      }),
    );
  audit
    .command('export <file>')
    .description('write all entries into a file, as lines of JSON')
    .action((name: string) =>
      run(async (out, server) => {
        const file = path.resolve(name);
        if (existsSync(file)) throw new CliError(`${file} exists.`, EXIT.FAILURE, { hint: 'Name a new file.' });
        const bytes = await download(server, '/api/v1/audit/export', file);
        out.result({ file, bytes }, `Written to ${file}: ${bytes} bytes.`);
      }),
    );
}
