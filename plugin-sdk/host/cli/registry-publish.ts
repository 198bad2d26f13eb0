import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { AtollError } from '@atoll/plugin-sdk/contract';
import {
  type Channel,
  fetchIntoStore,
  fitsWant,
  NpmSource,
  type Origin,
  type PackageStore,
  packPlugin,
  readPackage,
  readPluginFolder,
} from '@atoll/registry';
import { type Command, Option } from 'commander';
import type { Run } from './command.js';
import { loadSigningKey, signingKeyFile } from './signing-key.js';
import { onStore, parseSpec, type StoreFlags, withStore } from './store.js';
import { readTarballFile } from './verify.js';

interface PublishFlags extends StoreFlags {
  channel?: Channel;
  backport?: boolean;
  signingKey?: string;
}

interface SourceFlags {
  token?: string;
}

/** What brings packages in and out. */
export function publishCommands(registry: Command, run: Run): void {
  withStore(
    registry
      .command('publish <file-or-folder>')
      .description('put a package, or a plugin that is packed first, into the store'),
  )
    .addOption(
      new Option('--channel <channel>', 'without it: next for a pre-release, else latest').choices(['latest', 'next']),
    )
    .option('--backport', 'also when it is older than what is there')
    .option('--signing-key <file>', 'the key you sign with (ATOLL_SIGNING_KEY, else the one of your own)')
    .action((target: string, flags: PublishFlags) =>
      onStore(run, flags, async (store, out) => {
        const { channel, backport = false } = flags;
        const { bytes, origin } = await packageFrom(target, flags.signingKey);
        const admitted = await store.publish(bytes, { origin, backport, ...(channel && { channel }) });
        out.result(
          admitted,
          `${admitted.id}@${admitted.version} ${admitted.outcome === 'added' ? 'is published' : 'was there already'}.`,
        );
      }),
    );
  withToken(
    withStore(
      registry.command('fetch <package@range>').description('take a package of an npm registry into the store'),
    ),
  )
    .requiredOption('--from <url>', 'the registry')
    .action((spec: string, flags: StoreFlags & SourceFlags & { from: string }) =>
      onStore(run, flags, async (store, out) => {
        const admitted = await fetchPackage(store, spec, sourceOf(flags.from, flags));
        out.result(
          admitted,
          `${admitted.id}@${admitted.version} ${admitted.outcome === 'added' ? 'is in the store' : 'was there already'}.`,
        );
      }),
    );
  withToken(registry.command('push <file>').description('publish a package to an npm registry'))
    .requiredOption('--to <url>', 'the registry')
    .addOption(new Option('--tag <tag>').choices(['latest', 'next']).default('latest'))
    .action((file: string, flags: SourceFlags & { to: string; tag: Channel }) =>
      run(async (out) => {
        const bytes = await readTarballFile(file);
        const read = await readPackage(bytes);
        await sourceOf(flags.to, flags).publish(bytes, read, flags.tag);
        const { name, version } = read.manifest;
        out.result({ name, version, registry: flags.to }, `${name}@${version} is published to ${flags.to}.`);
      }),
    );
}

const withToken = (command: Command): Command =>
  command.option('--token <token>', 'for that registry (ATOLL_REGISTRY_TOKEN)');

const sourceOf = (registry: string, { token = process.env.ATOLL_REGISTRY_TOKEN }: SourceFlags): NpmSource =>
  new NpmSource({ name: registry, registry, ...(token !== undefined && { token }) });

/** What is packed here, or signed with one's own key, is local; any other tarball is somebody else's. */
async function packageFrom(target: string, signingKey: string | undefined): Promise<{ bytes: Buffer; origin: Origin }> {
  const file = signingKeyFile(signingKey);
  const key = existsSync(file) || signingKey !== undefined ? loadSigningKey(file) : undefined;
  if ((await stat(target).catch(() => undefined))?.isDirectory()) {
    const { bytes } = await packPlugin(await readPluginFolder(target), { ...(key && { key }) });
    return { bytes, origin: 'local' };
  }
  const bytes = await readTarballFile(target);
  const { signer } = await readPackage(bytes);
  return { bytes, origin: signer && signer.publicKey === key?.publicKey ? 'local' : 'third-party' };
}

async function fetchPackage(store: PackageStore, spec: string, source: NpmSource) {
  const { name, range = 'latest' } = parseSpec(spec);
  const offered = await source.versions(name);
  const wanted = offered.find((one) => fitsWant(one, range));
  if (wanted) return fetchIntoStore(store, source, wanted);
  const there = offered
    .map(({ version }) => version)
    .slice(0, 5)
    .join(', ');
  throw new AtollError(
    'VERSION_NOT_FOUND',
    `${source.name} has no plugin ${name}@${range}${there ? `; it has ${there}` : ''}.`,
  );
}
