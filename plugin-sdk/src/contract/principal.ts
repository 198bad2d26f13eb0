/** Who is behind a call. `root` is the root API key; a plugin acting for itself is `plugin`. */
export interface Principal {
  kind: 'root' | 'user' | 'key' | 'plugin' | 'system';
  id: string;
  /** Roles; empty for plugins. */
  roles: readonly string[];
  /** The organisation in whose name it acts; the default one when absent. */
  organisation?: string;
}
