import { randomUUID } from 'node:crypto';
import type { Belongings } from './tenant.js';

/* Requests for every operation of an OpenAPI document, with what belongs to somebody else wherever something can be named. */

export interface Operation {
  method: string;
  path: string;
  permission: string;
  parameters: { name: string; in: 'path' | 'query' | 'header'; required: boolean }[];
  body: Schema | undefined;
}

interface Schema {
  properties?: Record<string, unknown>;
  required?: string[];
}

export interface ForeignRequest {
  operation: Operation;
  target: string;
  body: object | undefined;
  /** What it names, and the same request with something that is nowhere in its place. */
  named: { value: string; nothing: string; twin: string } | undefined;
}

/** What a parameter in a path stands for, by the path up to it: something of the organisation, or a name that all of them share. */
type Meaning = keyof Belongings | 'organisation' | 'shared';

const IN_PATHS: Record<string, Meaning> = {
  '/api/v1/plugins/{id}': 'shared',
  '/api/v1/marketplace/{id}': 'shared',
  '/api/v1/marketplace/{id}/versions/{version}': 'shared',
  '/api/v1/auth/sessions/{id}': 'session',
  '/api/v1/auth/oidc/{provider}': 'shared',
  '/api/v1/users/{id}': 'user',
  '/api/v1/api-keys/{id}': 'key',
  '/api/v1/organisations/{id}': 'organisation',
  '/api/v1/organisations/{id}/members/{user}': 'user',
  '/api/v1/roles/{name}': 'role',
  '/api/v1/limits/{id}': 'shared',
  '/api/v1/secrets/{name}': 'shared',
  '/api/v1/secrets/{name}/versions/{version}': 'shared',
  '/api/v1/secrets/{name}/grants/{plugin}': 'shared',
  '/api/v1/jobs/{id}': 'job',
  '/api/v1/nodes/{id}': 'shared',
  '/x/vault/notes/{note}': 'note',
  '/x/vault/blobs/{sha256}': 'sha256',
  '/x/vault/cache/{key}': 'cacheKey',
  '/x/vault/cache-tags/{tag}': 'shared',
  '/x/reader/notes/{note}': 'note',
};

/** Of queries. What filters one's own is left out. */
const IN_QUERIES: Record<string, Meaning | 'left out'> = {
  organisation: 'organisation',
  actor: 'user',
  cursor: 'cursor',
  q: 'role',
  text: 'role',
  limit: 'left out',
  action: 'left out',
  outcome: 'left out',
  from: 'left out',
  to: 'left out',
  state: 'left out',
  plugin: 'left out',
  name: 'left out',
  level: 'left out',
  category: 'left out',
  version: 'left out',
  verified: 'left out',
  permissions: 'left out',
  withoutPermissions: 'left out',
  compatibleWith: 'left out',
  cascade: 'left out',
  dryRun: 'left out',
  channel: 'left out',
  backport: 'left out',
};

/** Something there is of each that all organisations share. */
const SHARED: Record<string, string> = {
  id: 'vault',
  version: '1.0.0',
  provider: 'none',
  name: 'NAME',
  plugin: 'vault',
  tag: 'told',
};

let fresh = 0;
/** What is sent in bodies, by the name of the member; undefined leaves one out. */
const bodies = (owner: Owner, { password, refreshToken }: Sender): Record<string, unknown> => ({
  username: `made-${++fresh}`,
  password,
  currentPassword: password,
  newPassword: password,
  organisation: owner.id,
  refreshToken,
  code: fresh.toString().padStart(6, '0'),
  recoveryCode: undefined,
  name: `made ${fresh}`,
  email: undefined,
  disabled: undefined,
  roles: [],
  scopes: ['plugins.read'],
  expiresAt: undefined,
  graceSeconds: 0,
  permissions: ['plugins.read'],
  text: `swept ${fresh}`,
});

/** Who sends the requests. */
export interface Sender {
  username: string;
  password: string;
  refreshToken: string;
}

export interface Owner {
  id: string;
  has: Belongings;
}

export function operationsOf(document: Record<string, unknown>): Operation[] {
  const paths = document.paths as Record<string, Record<string, Record<string, unknown>>>;
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      permission: (operation['x-atoll-permission'] as string | undefined) ?? 'public',
      parameters: (operation.parameters ?? []) as Operation['parameters'],
      body: schemaOf(operation.requestBody),
    })),
  );
}

const schemaOf = (body: unknown): Schema | undefined =>
  (body as { content: Record<string, { schema: Schema }> } | undefined)?.content['application/json']?.schema;

/** What this file does not know of an operation; new routes have to be entered above. */
export function unknownTo({ method, path, parameters, body }: Operation, callable: boolean): string[] {
  const known = bodies({ id: '', has: {} as Belongings }, { username: '', password: '', refreshToken: '' });
  const inBody = callable ? Object.keys(body?.properties ?? {}).filter((name) => !Object.hasOwn(known, name)) : [];
  const inQuery = parameters.filter((one) => one.in === 'query' && !Object.hasOwn(IN_QUERIES, one.name));
  const inPath = prefixesOf(path).filter((prefix) => !Object.hasOwn(IN_PATHS, prefix));
  return [...inBody, ...inQuery.map(({ name }) => `?${name}`), ...inPath].map((what) => `${method} ${path}: ${what}`);
}

/** `/a/{b}/c/{d}` → `/a/{b}` and `/a/{b}/c/{d}`. */
const prefixesOf = (path: string): string[] => [...path.matchAll(/\}/g)].map(({ index }) => path.slice(0, index + 1));

/** An operation once as it is, and once for everything that its query can name. */
export function* requestsFor(operation: Operation, owner: Owner, sender: Sender): Generator<ForeignRequest> {
  const body = bodyOf(operation, owner, sender);
  const { target, named } = fillPath(operation.path, owner);
  // Those with a default are listed as required, too.
  const required = operation.parameters.filter(
    ({ name, ...one }) => one.required && meaningIn(one, name) !== undefined,
  );
  const query = new URLSearchParams(
    Object.fromEntries(required.map(({ name }) => [name, meaning(IN_QUERIES[name]!, owner)])),
  );
  const whole = (path: string, search: URLSearchParams) => (search.size > 0 ? `${path}?${search}` : path);
  yield {
    operation,
    target: whole(target, query),
    body,
    named: named && { ...named, twin: whole(named.twin, query) },
  };
  for (const { name, ...one } of operation.parameters) {
    const what = meaningIn(one, name);
    if (what === undefined) continue;
    const value = meaning(what, owner);
    const more = new URLSearchParams(query);
    more.set(name, value);
    const nothing = nowhere(what, value);
    const twin = new URLSearchParams(query);
    twin.set(name, nothing);
    yield {
      operation,
      target: whole(target, more),
      body,
      // With something of another one in the path as well, that is what is not found.
      named: what === 'organisation' && !named ? { value, nothing, twin: whole(target, twin) } : undefined,
    };
  }
}

function meaningIn({ in: place }: Pick<Operation['parameters'][number], 'in'>, name: string): Meaning | undefined {
  const what = place === 'query' ? IN_QUERIES[name] : undefined;
  return what === 'left out' ? undefined : what;
}

function meaning(what: string, { id, has }: Owner): string {
  return what === 'organisation' ? id : has[what as keyof Belongings];
}

/** Of the same shape, and nobody's. */
function nowhere(what: Meaning, value: string): string {
  if (what === 'sha256') return value.split('').reverse().join('');
  return /^[\da-f-]{36}$/.test(value) ? `${randomUUID().slice(0, 35)}0` : `${value.slice(0, -1)}0`;
}

function fillPath(path: string, owner: Owner) {
  let named: { value: string; nothing: string } | undefined;
  const fill = (nothing: boolean) =>
    path.replace(/\{([^}]+)\}/g, (_, name: string, at: number) => {
      const what = IN_PATHS[path.slice(0, at + name.length + 2)]!;
      if (what === 'shared') return SHARED[name]!;
      const value = meaning(what, owner);
      // Roles and keys of caches are names: whoever writes one has one of one's own.
      if (what === 'role' || what === 'cacheKey') return value;
      if (what === 'user' && path.includes('/members/')) return value;
      named ??= { value, nothing: nowhere(what, value) };
      return nothing ? named.nothing : value;
    });
  const target = fill(false);
  const twin = fill(true);
  return { target, named: named && { ...named, twin } };
}

function bodyOf({ method, path, body }: Operation, owner: Owner, sender: Sender): object | undefined {
  if (method === 'GET') return undefined;
  const known = bodies(owner, sender);
  // One's own password, for another organisation; elsewhere it is the name of a new user.
  if (path === '/api/v1/auth/login') known.username = sender.username;
  const members = Object.keys(body?.properties ?? {}).map((name) => [name, known[name]] as const);
  return Object.fromEntries(members.filter(([, value]) => value !== undefined));
}
