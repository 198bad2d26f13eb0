import { stat } from 'node:fs/promises';
import type { Admitted, Channel } from '@atoll/registry';
import { type Command, Option } from 'commander';
import { request, upload } from './client.js';
import type { Run } from './command.js';
import type { Output } from './output.js';
import { keepKey, packFolder, type SigningFlags, withSigning } from './signed-package.js';
import { MARKETPLACE, versionAt } from './server-paths.js';
import { parseExact } from './store.js';
import { readTarballFile } from './verify.js';

interface PublishFlags extends SigningFlags {
  channel?: Channel;
  backport?: boolean;
}

/** `atoll publish`, `yank` and `unyank`. */
export function publishingCommands(program: Command, run: Run): void {
  publishCommand(program, run);
  program
    .command('yank <id@version>')
    .description('never choose a version anew; who runs it keeps it')
    .requiredOption('--reason <text>', 'why, for those who ask')
    .action((spec: string, { reason }: { reason: string }) =>
      run(async (out, server) => {
        const { id, version } = parseExact(spec);
        const told = await request(server, 'POST', `${versionAt(id, version)}/yank`, { reason });
        out.result(told, `${spec} is yanked.`);
      }),
    );
  program
    .command('unyank <id@version>')
    .description('undo a yank')
    .action((spec: string) =>
      run(async (out, server) => {
        const { id, version } = parseExact(spec);
        const told = await request(server, 'POST', `${versionAt(id, version)}/unyank`, {});
        out.result(told, `${spec} can be chosen again.`);
      }),
    );
}

function publishCommand(program: Command, run: Run): void {
  withSigning(
    program
      .command('publish <folder-or-file>')
      .description('put a package, or a plugin that is packed and signed first, into the marketplace')
      .addOption(
        new Option('--channel <channel>', 'without it: next for a pre-release, else latest').choices([
          'latest',
          'next',
        ]),
      )
      .option('--backport', 'also when it is older than what is there'),
  ).action((target: string, flags: PublishFlags) =>
    run(async (out, server) => {
      const { bytes, newKey } = await packageOf(out, target, flags);
      const { channel, backport = false } = flags;
      const query = new URLSearchParams({ backport: String(backport), ...(channel && { channel }) });
      const admitted = await out.step(`Sending ${kilobytes(bytes)}`, () =>
        upload<Admitted>(server, 'POST', `${MARKETPLACE}/publish?${query}`, new Uint8Array(bytes)),
      );
      const { id, version, outcome } = admitted;
      const told = `${id}@${version} ${outcome === 'added' ? 'is published' : 'was there already'}.`;
      out.result({ ...admitted, ...(newKey && { newKey }) }, newKey ? `${told}\n${keepKey(newKey)}` : told);
    }),
  );
}

const kilobytes = (bytes: Uint8Array): string => `${Math.ceil(bytes.length / 1024)} KB`;

/** A folder is packed; a tarball goes as it is. */
async function packageOf(
  out: Output,
  target: string,
  flags: SigningFlags,
): Promise<{ bytes: Uint8Array; newKey?: string }> {
  if ((await stat(target).catch(() => undefined))?.isDirectory())
    return out.step(`Packing ${target}`, () => packFolder(target, flags));
  return { bytes: await readTarballFile(target) };
}
