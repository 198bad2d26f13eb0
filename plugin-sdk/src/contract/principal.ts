/** Who is behind a call. `root` is the root API key; a plugin acting for itself is `plugin`. */
export interface Principal {
  kind: 'root' | 'user' | 'key' | 'plugin' | 'system';
  /** Of the user, key or plugin. */
  id: string;
  /** The user it acts for: itself, or the owner of a key. Absent for those that belong to no user. */
  user?: string;
  /** The organisation in whose name it acts; the default one when absent. */
  organisation?: string;
  /** Roles in that organisation; empty for keys and plugins. */
  roles: readonly string[];
  /** What it may do there: the kernel's permissions, and those of plugins as `<plugin id>/<name>`. See `allows`. */
  permissions?: readonly string[];
}

/** The permission that contains all others, and the one that contains those that plugins declare. */
export const EVERYTHING = '*';
export const ALL_OF_PLUGINS = '*/*';

/** Whether a principal has a permission, such as `plugins.call` or `notes/write`. */
export function allows({ kind, permissions = [] }: Principal, permission: string): boolean {
  if (kind === 'root') return true;
  return covers(permissions, permission);
}

/** Whether a permission is in a set of them. */
export function covers(permissions: readonly string[], permission: string): boolean {
  if (permissions.includes(permission) || permissions.includes(EVERYTHING)) return true;
  return permission.includes('/') && permissions.includes(ALL_OF_PLUGINS);
}
