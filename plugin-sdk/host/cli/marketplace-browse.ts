import {
  type PermissionDifference,
  permissionsOf,
  type PluginListing,
  type PluginManifest,
  type SearchHit,
  type SearchPage,
  type StoredVersion,
} from '@atoll/registry';
import type { Command } from 'commander';
import { request, type ServerOptions } from './client.js';
import type { Run } from './command.js';
import { type Output, table } from './output.js';
import { diffText, infoText } from './registry-catalogue.js';
import { moreText, type SearchFlags, searchQuery, withSearch } from './search-flags.js';
import { MARKETPLACE, offerAt } from './server-paths.js';

/** A plugin as the marketplace shows it: the rest is of its newest version. */
export interface Offer extends Omit<PluginListing, 'versions'> {
  versions: readonly (Omit<StoredVersion, 'facts'> & { size?: number; engine?: string })[];
  installed?: string;
  manifest?: PluginManifest;
  description?: string;
  readme?: string;
  signer?: { keyId: string };
}

interface Page extends Omit<SearchPage, 'items'> {
  items: (SearchHit & { installed?: string })[];
}

/** What can be installed on a server. */
export function browseCommands(program: Command, run: Run): void {
  withSearch(
    program.command('search [words...]').description('find plugins that can be installed; without words, all'),
  ).action((words: string[], flags: SearchFlags) => run((out, server) => search(out, server, words, flags)));
  program
    .command('info <id>')
    .description('a plugin that can be installed: its versions, and what it asks for')
    .option('--readme', 'also its readme')
    .action((id: string, { readme = false }: { readme?: boolean }) =>
      run((out, server) => info(out, server, id, readme)),
    );
}

async function search(out: Output, server: ServerOptions, words: string[], flags: SearchFlags): Promise<void> {
  const query = Object.entries(searchQuery(words, flags)).map(([key, value]): [string, string] => [key, String(value)]);
  const target = `${MARKETPLACE}?${new URLSearchParams(query)}`;
  const page = await request<Page>(server, 'GET', target);
  const rows = page.items.map((hit) => [
    hit.id,
    hit.version,
    hit.installed ?? '',
    hit.verified ? 'yes' : 'no',
    hit.permissions.join(' '),
    hit.description ?? hit.title,
  ]);
  const head = ['id', 'version', 'installed', 'verified', 'asks for', 'what'];
  out.result(page, rows.length === 0 ? 'Nothing was found.' : table(head, rows) + moreText(page));
}

async function info(out: Output, server: ServerOptions, id: string, readme: boolean): Promise<void> {
  const offer = await request<Offer>(server, 'GET', offerAt(id));
  const newest = offer.manifest?.version;
  const { installed } = offer;
  // Also when the installed one comes from a folder: then the registry may not have it.
  const known = offer.versions.some(({ version }) => version === installed);
  const query = installed && newest && known ? new URLSearchParams({ from: installed, to: newest }) : undefined;
  const difference =
    query && (await request<PermissionDifference>(server, 'GET', `${offerAt(id)}/difference?${query}`));
  out.result({ ...offer, ...(difference && { difference }) }, offerText(offer, difference, readme));
}

function offerText(offer: Offer, difference: PermissionDifference | undefined, readme: boolean): string {
  const { manifest, installed, description, signer } = offer;
  const lines = [infoText(offer)];
  if (description !== undefined) lines.unshift(description);
  if (installed !== undefined) lines.push(`\nInstalled: ${installed}`);
  if (manifest) {
    const asks = permissionsOf(manifest).map(({ kind, value }) => `  ${kind}${value === undefined ? '' : ` ${value}`}`);
    lines.push(
      `\n${manifest.version} runs on Atoll ${manifest.engine}, is ${signer ? `signed by ${signer.keyId}` : 'not signed'}`,
    );
    lines.push(...(asks.length > 0 ? ['It asks for:', ...asks] : ['It asks for nothing.']));
  }
  if (difference && installed !== manifest?.version)
    lines.push(`Beyond ${installed}, which is installed:`, diffText(difference.added, difference.removed));
  if (readme && offer.readme) lines.push('', offer.readme);
  return lines.join('\n');
}
