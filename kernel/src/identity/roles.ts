import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import { exceeding, HOME, isBuiltInRole, PERMISSIONS, ROLES, withinOrganisation } from '../auth/index.js';
import type { Database } from '../database/index.js';
import type { IdentityChanges } from './changes.js';
import type { DeclaredPermission } from './declared-permissions.js';

export interface Role {
  name: string;
  permissions: string[];
  builtIn: boolean;
}

/** Roles are sets of permissions: the built-in ones, and those that an organisation has made for itself. */
export class Roles {
  constructor(
    private readonly database: Database,
    private readonly changes: IdentityChanges,
    /** What plugins declare now. */
    private readonly declared: () => readonly DeclaredPermission[],
  ) {}

  /** All permissions that there are. */
  permissions(): { name: string; title: string; plugin?: string }[] {
    const kernel = Object.entries(PERMISSIONS).map(([name, title]) => ({ name, title }));
    return [...kernel, ...this.declared().map(({ name, title, plugin }) => ({ name, title, plugin }))];
  }

  async list(organisation: string): Promise<Role[]> {
    const builtIn = Object.keys(ROLES).map((name) => ({
      name,
      permissions: withinOrganisation(this.#ofBuiltIn(name), organisation),
      builtIn: true,
    }));
    const custom = await this.#custom(organisation);
    return [...builtIn, ...[...custom].map(([name, permissions]) => ({ name, permissions, builtIn: false }))];
  }

  /** What these roles amount to in an organisation. Those it does not have count for nothing. */
  async permissionsOf(names: readonly string[], organisation: string): Promise<string[]> {
    const custom = names.every(isBuiltInRole) ? undefined : await this.#custom(organisation);
    return this.combine(names, organisation, custom ?? new Map());
  }

  combine(names: readonly string[], organisation: string, custom: ReadonlyMap<string, readonly string[]>): string[] {
    const all = names.flatMap((name) => (isBuiltInRole(name) ? this.#ofBuiltIn(name) : (custom.get(name) ?? [])));
    return withinOrganisation(all, organisation);
  }

  /** Makes or changes a custom role. Throws FORBIDDEN for permissions that the actor has not, VALIDATION_FAILED for unknown ones. */
  async put(actor: Principal, organisation: string, name: string, permissions: string[]): Promise<Role> {
    if (isBuiltInRole(name)) throw new AtollError('CONFLICT', `"${name}" is a built-in role. Choose another name.`);
    this.assertKnown(permissions, organisation);
    assertCovers(actor, permissions);
    const before = (await this.#custom(organisation)).get(name);
    if (before) assertCovers(actor, before);
    this.changes.note({
      target: `role:${organisation}/${name}`,
      ...(before && { before: { permissions: before } }),
      after: { permissions },
    });
    await this.changes.apply(`organisation:${organisation}`, async () => {
      await this.database.query(
        `insert into custom_role (organisation, name, permissions) values ($1, $2, $3)
         on conflict (organisation, name) do update set permissions = excluded.permissions`,
        [organisation, name, JSON.stringify(permissions)],
      );
    });
    return { name, permissions, builtIn: false };
  }

  /** Members keep its name and lose its permissions. */
  async remove(actor: Principal, organisation: string, name: string): Promise<void> {
    const permissions = (await this.#custom(organisation)).get(name);
    if (!permissions) throw new AtollError('NOT_FOUND', `There is no custom role "${name}".`);
    assertCovers(actor, permissions);
    this.changes.note({ target: `role:${organisation}/${name}`, before: { permissions } });
    await this.changes.apply(`organisation:${organisation}`, async () => {
      await this.database.query('delete from custom_role where organisation = $1 and name = $2', [organisation, name]);
      // Who gets a role of that name later must not be somebody who had the old one.
      await this.database.query('update membership set roles = roles - $2 where organisation = $1', [
        organisation,
        name,
      ]);
    });
  }

  /** Throws VALIDATION_FAILED for roles that the organisation has not, FORBIDDEN for those that exceed the actor's permissions. */
  async assertAssignable(actor: Principal, organisation: string, names: readonly string[]): Promise<void> {
    const custom = await this.#custom(organisation);
    const unknown = names.filter((name) => !isBuiltInRole(name) && !custom.has(name));
    if (unknown.length > 0) throw invalid('/roles', `are not all known: ${unknown.join(', ')}`);
    assertCovers(actor, this.combine(names, organisation, custom));
  }

  assertKnown(permissions: readonly string[], organisation: string): void {
    const known = new Set(withinOrganisation([...this.permissions().map(({ name }) => name), '*/*'], organisation));
    if (organisation === HOME) known.add('*');
    const unknown = permissions.filter((permission) => !known.has(permission));
    if (unknown.length > 0) throw invalid('/permissions', `are not all known: ${unknown.join(', ')}`);
  }

  #ofBuiltIn(name: string): string[] {
    if (!isBuiltInRole(name)) return [];
    const fromPlugins = this.declared().filter(({ roles }) => roles.includes(name));
    return [...ROLES[name], ...fromPlugins.map((permission) => permission.name)];
  }

  async #custom(organisation: string): Promise<Map<string, string[]>> {
    const rows = await this.database.query<{ name: string; permissions: string[] }>(
      'select name, permissions from custom_role where organisation = $1 order by name',
      [organisation],
    );
    return new Map(rows.map(({ name, permissions }) => [name, permissions]));
  }
}

/** Nobody can give what they have not. */
export function assertCovers(actor: Principal, permissions: readonly string[]): void {
  if (actor.kind === 'root') return;
  const missing = exceeding(actor.permissions ?? [], permissions);
  if (missing.length > 0)
    throw new AtollError('FORBIDDEN', `This would give or take permissions that you have not: ${missing.join(', ')}.`);
}

function invalid(pointer: string, message: string): AtollError {
  return new AtollError('VALIDATION_FAILED', `The ${pointer.slice(1)} ${message}.`, { errors: [{ pointer, message }] });
}
