import { type Permission, permissionCovers } from '@atoll/registry';
import { findGrant, type Grant } from '../../net/index.js';
import { entriesOf, type PermissionSet, toSet } from './permission-set.js';
import type { UseCount } from './usage.js';

/**
 * The least set that covers what was used. Origins that only a `config:` entry reaches are proposed as that entry: another value of the
 * configuration is another origin.
 */
export function leastSet(
  asked: PermissionSet,
  used: readonly UseCount[],
  parseNet: (entries: readonly string[]) => Grant[],
): PermissionSet {
  const entries = entriesOf(asked);
  const proposed = new Map<string, Permission>();
  for (const { kind, value } of used) {
    const use = { kind, ...(value !== undefined && { value }) } as Permission;
    const found = entries.some((entry) => permissionCovers(entry, use)) ? use : indirectly(entries, use, parseNet);
    if (found) proposed.set(`${found.kind} ${found.value ?? ''}`, found);
  }
  return toSet(proposed.values());
}

function indirectly(
  entries: readonly Permission[],
  { kind, value }: Permission,
  parseNet: (entries: readonly string[]) => Grant[],
): Permission | undefined {
  if (kind !== 'net' || value === undefined || !URL.canParse(value)) return undefined;
  const url = new URL(value);
  const origins = entries.filter((entry) => entry.kind === 'net' && entry.value?.startsWith('config:'));
  return origins.find((entry) => findGrant(parseNet([entry.value!]), url) !== undefined);
}
