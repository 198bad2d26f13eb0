import { AtollError } from '@atoll/plugin-sdk/contract';
import { diffPermissions, formatPlan, type Permission, type PluginListing, type StoredVersion } from '@atoll/registry';
import type { Command } from 'commander';
import type { Run } from './command.js';
import { table } from './output.js';
import { planFor, type ResolveFlags, withKernel } from './registry-plan.js';
import { moreText, type SearchFlags, searchQuery, withSearch } from './search-flags.js';
import { onStore, parseExact, type StoreFlags, withStore } from './store.js';

/** What is in the store. */
export function catalogueCommands(registry: Command, run: Run): void {
  searchCommand(registry, run);
  withStore(registry.command('info <id>').description('all versions of a plugin and what is known of them')).action(
    (id: string, flags: StoreFlags) =>
      onStore(run, flags, async (store, out) => {
        const listing = store.catalogue.get(id);
        if (!listing) throw new AtollError('VERSION_NOT_FOUND', `The store has no plugin "${id}".`);
        out.result(listing, infoText(listing));
      }),
  );
  withKernel(
    withStore(
      registry.command('plan <id@range...>').description('what installing would take, with all that is needed'),
    ),
  ).action((specs: string[], flags: StoreFlags & ResolveFlags) =>
    onStore(run, flags, async (store, out) => {
      const plan = planFor(store, specs, flags);
      out.result(plan, formatPlan(plan));
    }),
  );
  withStore(
    registry.command('diff <id@version> <id@version>').description('what the second version asks for beyond the first'),
  ).action((before: string, after: string, flags: StoreFlags) =>
    onStore(run, flags, async (store, out) => {
      const [old, now] = await Promise.all(
        [before, after].map(async (spec) => {
          const { id, version } = parseExact(spec);
          return (await store.read(id, version)).manifest;
        }),
      );
      const difference = diffPermissions(old, now!);
      out.result(difference, diffText(difference.added, difference.removed));
    }),
  );
}

function searchCommand(registry: Command, run: Run): void {
  withSearch(withStore(registry.command('search [words...]').description('find plugins; without words, all'))).action(
    (words: string[], flags: StoreFlags & SearchFlags) =>
      onStore(run, flags, async (store, out) => {
        const page = store.catalogue.search(searchQuery(words, flags));
        const rows = page.items.map((hit) => [
          hit.id,
          hit.version,
          hit.verified ? 'yes' : 'no',
          hit.permissions.join(' '),
          hit.description ?? hit.title,
        ]);
        out.result(page, table(['id', 'version', 'verified', 'asks for', 'what'], rows) + moreText(page));
      }),
  );
}

/** What is told of a version; a server leaves its manifest out. */
type Version = Omit<StoredVersion, 'facts'>;

export function infoText({
  id,
  name,
  publisher,
  channels,
  versions,
}: Omit<PluginListing, 'versions'> & { versions: readonly Version[] }): string {
  const led = Object.entries(channels).map(([channel, version]) => `${channel}: ${version}`);
  const rows = versions.map((one) => [one.version, one.channel, one.publishedAt, stateOf(one)]);
  return `${id} (${name}) of ${publisher}\n${led.join(', ') || 'no version can be chosen'}\n\n${table(['version', 'channel', 'published', 'state'], rows)}`;
}

function stateOf({ quarantined, damaged, yanked, deprecated, verified }: Version): string {
  if (quarantined) return `quarantined: ${quarantined}`;
  if (damaged) return 'damaged';
  if (yanked) return `yanked: ${yanked.reason}`;
  if (deprecated) return `deprecated: ${deprecated.reason}`;
  return verified ? 'verified' : '';
}

export function diffText(added: readonly Permission[], removed: readonly Permission[]): string {
  const lines = (sign: string, some: readonly Permission[]) =>
    some.map(({ kind, value }) => `${sign} ${kind}${value === undefined ? '' : ` ${value}`}`);
  return [...lines('+', added), ...lines('-', removed)].join('\n') || 'They ask for the same.';
}
