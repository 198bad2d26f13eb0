import type { PluginManifest } from './manifest.js';
import { topicCovers } from './topic-covers.js';
import { originCovers } from './origin-covers.js';

/** What a plugin asks for that can be granted or refused. */
export type PermissionKind =
  | 'net'
  | 'storage'
  | 'gpu'
  | 'jobs'
  | 'schedule'
  | 'cache'
  | 'secrets'
  | 'events.publish'
  | 'events.subscribe'
  | 'services'
  | 'mounts';

/** One thing asked for: `net` with an origin, `events.publish` with a topic, or a kind that has no more to say. */
export interface Permission {
  kind: PermissionKind;
  value?: string;
}

export interface PermissionDifference {
  /** Asked for now, and not covered by what was asked for before. */
  added: Permission[];
  /** Asked for before, and no longer covered. */
  removed: Permission[];
  /** Whether an operator has to agree first. */
  needsConsent: boolean;
}

/** What the difference looks at; manifests fit. */
export type AskingManifest = Pick<PluginManifest, 'permissions' | 'mounts' | 'consumes' | 'config'>;

const FLAGS = ['storage', 'gpu', 'jobs', 'schedule', 'cache'] as const;

/** Everything a manifest asks for. Services of others count: through them a plugin reaches what they may reach. */
export function permissionsOf(manifest: AskingManifest): Permission[] {
  const { permissions, mounts, consumes } = manifest;
  const each = (kind: PermissionKind, values: readonly string[]) => values.map((value) => ({ kind, value }));
  return [
    ...each('net', [...permissions.net, ...defaultOrigins(manifest)]),
    ...FLAGS.filter((kind) => permissions[kind]).map((kind) => ({ kind })),
    ...each('secrets', permissions.secrets),
    ...each('events.publish', permissions.events.publish),
    ...each('events.subscribe', permissions.events.subscribe),
    ...each('services', Object.keys(consumes)),
    ...each('mounts', mounts),
  ];
}

/** The author's own values for `config:` entries: another default is another address to reach. */
function defaultOrigins({ permissions, config }: AskingManifest): string[] {
  const properties = (config?.properties ?? {}) as Record<string, { default?: unknown } | undefined>;
  const keys = permissions.net
    .filter((entry) => entry.startsWith('config:'))
    .map((entry) => entry.slice('config:'.length));
  const values = keys.map((key) => (Object.hasOwn(properties, key) ? properties[key]?.default : undefined));
  const urls = values.filter((value) => typeof value === 'string' && URL.canParse(value)) as string[];
  return [...new Set(urls.map((url) => new URL(url).origin))].filter((origin) => !permissions.net.includes(origin));
}

/** The kinds a manifest asks for, without its mounts: every plugin that serves has those. */
export function permissionKinds(manifest: AskingManifest): PermissionKind[] {
  const kinds = permissionsOf(manifest).map(({ kind }) => kind);
  return [...new Set(kinds)].filter((kind) => kind !== 'mounts').sort();
}

/** What an upgrade from `before` to `after` asks for beyond what was granted; without `before`, everything. */
export function diffPermissions(before: AskingManifest | undefined, after: AskingManifest): PermissionDifference {
  const [old, now] = [before ? permissionsOf(before) : [], permissionsOf(after)];
  const added = beyond(now, old);
  return { added, removed: beyond(old, now), needsConsent: added.length > 0 };
}

const beyond = (some: readonly Permission[], granted: readonly Permission[]): Permission[] =>
  some.filter((one) => !granted.some((other) => permissionCovers(other, one)));

/** Whether a grant includes a permission. */
export function permissionCovers(grant: Permission, permission: Permission): boolean {
  if (grant.kind !== permission.kind) return false;
  if (grant.value === undefined || permission.value === undefined || grant.value === permission.value) return true;
  switch (permission.kind) {
    case 'net':
      return originCovers(grant.value, permission.value);
    case 'events.publish':
    case 'events.subscribe':
      return topicCovers(grant.value, permission.value);
    case 'mounts':
      return permission.value.startsWith(`${grant.value}/`);
    default:
      return false;
  }
}
