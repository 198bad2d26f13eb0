import { covers, type Principal } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import type { Roles } from './roles.js';

interface MemberRow {
  roles: string[];
  custom: Record<string, string[]> | null;
}

/** Makes principals out of what the database knows. */
export class Principals {
  constructor(
    private readonly database: Database,
    private readonly roles: Roles,
  ) {}

  /** Of a user in an organisation; undefined when disabled, gone or no member. */
  async ofUser(user: string, organisation: string): Promise<Principal | undefined> {
    const member = await this.#member(user, organisation);
    if (!member) return undefined;
    return Object.freeze({
      kind: 'user',
      id: user,
      user,
      organisation,
      roles: Object.freeze(member.roles),
      permissions: Object.freeze(this.#permissions(member, organisation)),
    });
  }

  /** Of a key: what its scopes and its owner's permissions have in common. A key without owner has its scopes. */
  async ofKey(id: string, owner: string | null, organisation: string, scopes: readonly string[]) {
    const held = owner === null ? scopes : await this.#permissionsOf(owner, organisation);
    if (!held) return undefined;
    const principal: Principal = {
      kind: 'key',
      id,
      ...(owner !== null && { user: owner }),
      organisation,
      roles: Object.freeze([]),
      permissions: Object.freeze(inCommon(scopes, held)),
    };
    return Object.freeze(principal);
  }

  async #permissionsOf(user: string, organisation: string): Promise<string[] | undefined> {
    const member = await this.#member(user, organisation);
    return member && this.#permissions(member, organisation);
  }

  #permissions({ roles, custom }: MemberRow, organisation: string): string[] {
    return this.roles.combine(roles, organisation, new Map(Object.entries(custom ?? {})));
  }

  async #member(user: string, organisation: string): Promise<MemberRow | undefined> {
    const [row] = await this.database.query<MemberRow>(
      `select m.roles, (select jsonb_object_agg(r.name, r.permissions) from custom_role r where r.organisation = $2) as custom
       from membership m join user_account u on u.id = m."user"
       where m."user" = $1 and m.organisation = $2 and not u.disabled`,
      [user, organisation],
    );
    return row;
  }
}

/** Either set may have wildcards. */
function inCommon(one: readonly string[], other: readonly string[]): string[] {
  const both = [
    ...one.filter((permission) => covers(other, permission)),
    ...other.filter((permission) => covers(one, permission)),
  ];
  return [...new Set(both)].sort();
}
