import type { PermissionKind, SearchPage, SearchQuery } from '@atoll/registry';
import { type Command, InvalidArgumentError } from 'commander';

/** What a search can be narrowed by, in a store as on a server. */
export interface SearchFlags {
  category?: string;
  verified?: boolean;
  permission?: PermissionKind[];
  withoutPermission?: PermissionKind[];
  compatibleWith?: string;
  limit: number;
  cursor?: string;
}

export const withSearch = (command: Command): Command =>
  command
    .option('--category <name>')
    .option('--verified', 'only plugins of publishers that you trust')
    .option('--permission <kind...>', 'only plugins that ask for it, such as net or storage')
    .option('--without-permission <kind...>', 'only plugins that do not')
    .option('--compatible-with <version>', 'only plugins that run on this version of Atoll')
    .option('--limit <n>', 'how many, at most 100', count, 20)
    .option('--cursor <cursor>', 'where the page before ended');

function count(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > 100) throw new InvalidArgumentError('Expected 1 to 100.');
  return value;
}

export function searchQuery(words: readonly string[], flags: SearchFlags): SearchQuery {
  const { category, verified, permission, withoutPermission, compatibleWith, limit, cursor } = flags;
  return {
    q: words.join(' '),
    limit,
    ...(category !== undefined && { category }),
    ...(verified && { verified }),
    ...(permission && { permissions: permission }),
    ...(withoutPermission && { withoutPermissions: withoutPermission }),
    ...(compatibleWith !== undefined && { compatibleWith }),
    ...(cursor !== undefined && { cursor }),
  };
}

export const moreText = ({ nextCursor }: Pick<SearchPage, 'nextCursor'>): string =>
  nextCursor === undefined ? '' : `\nMore with --cursor ${nextCursor}`;
