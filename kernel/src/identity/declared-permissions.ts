/** A permission that a plugin declares in its manifest. */
export interface DeclaredPermission {
  plugin: string;
  /** `<plugin id>/<name>` */
  name: string;
  title: string;
  /** Built-in roles that have it. */
  roles: readonly string[];
}

interface Declaring {
  id: string;
  access: Readonly<Record<string, { title: string; roles?: readonly string[] }>>;
}

export function declaredPermissions(manifests: readonly Declaring[]): DeclaredPermission[] {
  return manifests.flatMap(({ id, access }) =>
    Object.entries(access).map(([name, { title, roles = [] }]) => ({
      plugin: id,
      name: `${id}/${name}`,
      title,
      roles,
    })),
  );
}
