import { ALL_OF_PLUGINS, covers, EVERYTHING } from '@atoll/plugin-sdk/contract';

/** The kernel's permissions, and what each allows. Those of plugins are `<plugin id>/<name>`, as their manifests declare them. */
export const PERMISSIONS = {
  'plugins.read': 'See which plugins there are, and their state',
  'plugins.inspect': 'See logs and configuration of plugins',
  'plugins.manage': 'Install, enable, configure and remove plugins',
  'plugins.call': 'Call plugins over HTTP and WebSocket',
  'events.read': 'Subscribe to events',
  'database.manage': 'Back the database up and restore it',
  'nodes.read': 'See which nodes there are, and whether they run what they should',
  'secrets.read': 'See which secrets there are, and who may use them',
  'secrets.manage': 'Create, change, grant and remove secrets, and exchange the master key',
  'jobs.read': 'See background jobs of all plugins',
  'jobs.manage': 'Cancel and replay background jobs',
  'users.read': 'See users and roles of the organisation',
  'users.manage': 'Create, change and remove users, members and roles of the organisation',
  'api-keys.own': "Have API keys with at most one's own permissions",
  'api-keys.manage': 'See and revoke all API keys of the organisation',
  'audit.read': 'See who did what in the organisation',
  'audit.verify': 'Check that nothing is missing in the audit trail',
  'limits.manage': 'See and set rate limits',
  'organisations.manage': 'Create and remove organisations, and act in all of them',
} as const satisfies Record<string, string>;

export type KernelPermission = keyof typeof PERMISSIONS;
/** `signed-in`: whoever has valid credentials. `public`: everybody. */
export type Permission = KernelPermission | 'signed-in' | 'public';

/** The organisation that runs the installation. The others are its guests. */
export const HOME = 'default';

/** What concerns the installation as a whole: nobody outside of its own organisation can have it. */
const INSTALLATION: ReadonlySet<string> = new Set<KernelPermission>([
  'plugins.inspect',
  'plugins.manage',
  'database.manage',
  'nodes.read',
  'secrets.read',
  'secrets.manage',
  'jobs.read',
  'jobs.manage',
  'audit.verify',
  'limits.manage',
  'organisations.manage',
]);

const USER: KernelPermission[] = ['plugins.read', 'plugins.call', 'events.read', 'api-keys.own'];

/** Roles that every organisation has. */
export const ROLES = {
  admin: [EVERYTHING],
  operator: [
    ...USER,
    'plugins.inspect',
    'plugins.manage',
    'database.manage',
    'nodes.read',
    'secrets.read',
    'secrets.manage',
    'jobs.read',
    'jobs.manage',
    'users.read',
    'audit.read',
    'audit.verify',
    'limits.manage',
  ],
  developer: [...USER, 'plugins.inspect'],
  user: USER,
  viewer: ['plugins.read', 'events.read'],
} as const satisfies Record<string, readonly string[]>;

export type BuiltInRole = keyof typeof ROLES;

export const isBuiltInRole = (name: string): name is BuiltInRole => Object.hasOwn(ROLES, name);

/** What a set of permissions amounts to in an organisation. */
export function withinOrganisation(permissions: readonly string[], organisation: string): string[] {
  if (organisation === HOME) return [...new Set(permissions)].sort();
  const all = Object.keys(PERMISSIONS).concat(ALL_OF_PLUGINS);
  const named = permissions.flatMap((permission) => (permission === EVERYTHING ? all : [permission]));
  return [...new Set(named)].filter((permission) => !INSTALLATION.has(permission)).sort();
}

/** Those of the second that the first does not cover. */
export function exceeding(held: readonly string[], wanted: readonly string[]): string[] {
  return wanted.filter((permission) => !covers(held, permission));
}
