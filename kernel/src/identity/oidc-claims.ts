import type { OidcProvider } from './oidc-providers.js';

/** What a provider says of a user. */
export type Claims = { sub: string } & Readonly<Record<string, unknown>>;

/** The roles that the claims bring, by the provider's map; those for everybody when none of it fits. */
export function claimedRoles({ roleClaim, roles, defaultRoles }: OidcProvider, claims: Claims): string[] {
  const given = roleClaim === undefined ? [] : [valueAt(claims, roleClaim)].flat();
  const mapped = given.flatMap((value) =>
    typeof value === 'string' && Object.hasOwn(roles, value) ? roles[value]! : [],
  );
  return mapped.length > 0 ? [...new Set(mapped)] : [...defaultRoles];
}

/** The claim of this name (it may have dots in it, as URLs have), or else along the path that the dots make. */
function valueAt(claims: Claims, path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path];
  return path.split('.').reduce<unknown>((value, part) => {
    const isObject = typeof value === 'object' && value !== null && Object.hasOwn(value, part);
    return isObject ? (value as Record<string, unknown>)[part] : undefined;
  }, claims);
}

/** A name that is allowed here. */
export function usernameOf(claims: Claims): string {
  const wanted = [claims.preferred_username, claims.email, claims.sub].find((text) => typeof text === 'string');
  const allowed = String(wanted)
    .replace(/[^\p{L}\p{N}._@+-]/gu, '')
    .replace(/^[^\p{L}\p{N}]+/u, '');
  return allowed.slice(0, 80) || 'user';
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value.slice(0, 200) : undefined;

export const displayName = ({ name }: Claims): string | undefined => text(name);

/** Only one that the provider has checked. */
export const emailOf = ({ email, email_verified }: Claims): string | undefined =>
  email_verified === true ? text(email) : undefined;
