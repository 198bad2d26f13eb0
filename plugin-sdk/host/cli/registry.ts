import { exportMirror, importMirror } from '@atoll/registry';
import { type Command, Option } from 'commander';
import type { Run } from './command.js';
import { EXIT } from './errors.js';
import { table } from './output.js';
import { catalogueCommands } from './registry-catalogue.js';
import { planVersions, type ResolveFlags, withKernel } from './registry-plan.js';
import { publishCommands } from './registry-publish.js';
import { onStore, parseExact, type StoreFlags, withStore } from './store.js';

/** `atoll registry …`: the plugin store of this machine; no server needs to run. */
export function registryCommands(program: Command, run: Run): void {
  const registry = program.command('registry').description('the plugin store of this machine; no server needed');
  catalogueCommands(registry, run);
  publishCommands(registry, run);
  markCommands(registry, run);
  mirrorCommands(registry, run);
  withStore(registry.command('check').description('read every package and say which are damaged'))
    .option('--repair', 'put aside what is damaged and delete what belongs to no version')
    .action((flags: StoreFlags & { repair?: boolean }) =>
      onStore(run, flags, async (store, out) => {
        const { damaged, orphans } = await store.check({ repair: flags.repair === true });
        const lines = damaged.map(({ id, version }) => `${id}@${version} is damaged: publish or fetch it again.`);
        if (orphans.length > 0) lines.push(`${orphans.length} files belong to no version.`);
        out.result({ damaged, orphans }, lines.join('\n') || 'Every package is whole.');
        if (damaged.length > 0) process.exitCode = EXIT.FAILURE;
      }),
    );
}

function markCommands(registry: Command, run: Run): void {
  withStore(registry.command('yank <id@version>').description('never choose a version anew; who runs it keeps it'))
    .requiredOption('--reason <text>', 'why, for those who ask')
    .action((spec: string, flags: StoreFlags & { reason: string }) =>
      onStore(run, flags, async (store, out) => {
        const { id, version } = parseExact(spec);
        await store.yank(id, version, flags.reason);
        out.result({ id, version, yanked: flags.reason }, `${spec} is yanked.`);
      }),
    );
  withStore(registry.command('unyank <id@version>').description('undo a yank')).action(
    (spec: string, flags: StoreFlags) =>
      onStore(run, flags, async (store, out) => {
        const { id, version } = parseExact(spec);
        await store.unyank(id, version);
        out.result({ id, version }, `${spec} can be chosen again.`);
      }),
  );
  withStore(
    registry
      .command('deprecate <id@version> [message]')
      .description('say what to use instead; without a message, take that back'),
  ).action((spec: string, message: string | undefined, flags: StoreFlags) =>
    onStore(run, flags, async (store, out) => {
      const { id, version } = parseExact(spec);
      await store.deprecate(id, version, message);
      out.result(
        { id, version, deprecated: message ?? null },
        `${spec} is ${message === undefined ? 'no longer ' : ''}deprecated.`,
      );
    }),
  );
  withStore(registry.command('channel <id@version>').description('put a version into another channel'))
    .addOption(new Option('--to <channel>').choices(['latest', 'next']).makeOptionMandatory())
    .action((spec: string, flags: StoreFlags & { to: 'latest' | 'next' }) =>
      onStore(run, flags, async (store, out) => {
        const { id, version } = parseExact(spec);
        await store.setChannel(id, version, flags.to);
        out.result({ id, version, channel: flags.to }, `${spec} is in the channel "${flags.to}".`);
      }),
    );
  withStore(
    registry.command('remove <id@version>').description('delete a version; it can come back only with the same bytes'),
  ).action((spec: string, flags: StoreFlags) =>
    onStore(run, flags, async (store, out) => {
      const { id, version } = parseExact(spec);
      await store.remove(id, version);
      out.result({ id, version }, `${spec} is deleted.`);
    }),
  );
}

function mirrorCommands(registry: Command, run: Run): void {
  withKernel(
    withStore(
      registry
        .command('export [id@range...]')
        .description('write plugins with all they need into one file; without names, everything'),
    ),
  )
    .requiredOption('--out <file>', 'the file to write')
    .action((specs: string[], flags: StoreFlags & ResolveFlags & { out: string }) =>
      onStore(run, flags, async (store, out) => {
        const versions = specs.length === 0 ? undefined : planVersions(store, specs, flags);
        const exported = await exportMirror(store, { out: flags.out, ...(versions && { versions }) });
        const lines = exported.packages.map(({ id, version }) => `${id}@${version}`);
        out.result(exported, [...lines, `${exported.file}: ${exported.bytes} bytes`].join('\n'));
      }),
    );
  withStore(registry.command('import <file>').description('take in what `export` wrote; needs no network'))
    .option('--trust-keys', 'trust the keys in it, because you trust who gave it to you')
    .action((file: string, flags: StoreFlags & { trustKeys?: boolean }) =>
      onStore(run, flags, async (store, out) => {
        const result = await importMirror(store, { file, trustKeys: flags.trustKeys === true });
        const { added, present, refused } = result;
        const rows = [
          ...added.map(({ id, version }) => [`${id}@${version}`, 'added', '']),
          ...present.map(({ id, version }) => [`${id}@${version}`, 'was there', '']),
          ...refused.map(({ id, version, code, reason }) => [`${id}@${version}`, 'refused', `${reason} (${code})`]),
        ];
        out.result(result, table(['package', 'outcome', 'why'], rows));
        if (refused.length > 0) process.exitCode = EXIT.FAILURE;
      }),
    );
}
