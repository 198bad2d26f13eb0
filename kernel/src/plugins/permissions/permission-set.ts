import type { Permission, PermissionKind, PluginManifest } from '@atoll/registry';
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false };
const texts = (description: string) =>
  Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { default: [], maxItems: 200, description });
const flag = () => Type.Boolean({ default: false });

/** What a plugin may reach: the manifest's `permissions`, and the services of others that it may call. What is absent is not granted. */
export const PermissionSet = Type.Object(
  {
    net: texts('Origins, as in the manifest.'),
    storage: flag(),
    gpu: flag(),
    jobs: flag(),
    schedule: flag(),
    cache: flag(),
    secrets: texts('Names of secrets.'),
    events: Type.Object(
      { publish: texts('Topics.'), subscribe: texts('Topics.') },
      { ...closed, default: { publish: [], subscribe: [] } },
    ),
    services: texts('Services of other plugins.'),
  },
  closed,
);
export type PermissionSet = Static<typeof PermissionSet>;

export const FLAGS = ['storage', 'gpu', 'jobs', 'schedule', 'cache'] as const;

/** The lists of a set, by the kind of permission they are of; `path` is where they are in the JSON. */
export const LISTS = [
  { kind: 'net', path: '/net', of: (set: PermissionSet) => set.net },
  { kind: 'secrets', path: '/secrets', of: (set: PermissionSet) => set.secrets },
  { kind: 'events.publish', path: '/events/publish', of: (set: PermissionSet) => set.events.publish },
  { kind: 'events.subscribe', path: '/events/subscribe', of: (set: PermissionSet) => set.events.subscribe },
  { kind: 'services', path: '/services', of: (set: PermissionSet) => set.services },
] as const satisfies { kind: PermissionKind; path: string; of: (set: PermissionSet) => string[] }[];

export const nothing = (): PermissionSet => ({
  net: [],
  storage: false,
  gpu: false,
  jobs: false,
  schedule: false,
  cache: false,
  secrets: [],
  events: { publish: [], subscribe: [] },
  services: [],
});

/** Everything that a manifest asks for. */
export function askedBy({ permissions, consumes }: PluginManifest): PermissionSet {
  const set = nothing();
  for (const name of FLAGS) set[name] = permissions[name];
  set.net.push(...permissions.net);
  set.secrets.push(...permissions.secrets);
  set.events.publish.push(...permissions.events.publish);
  set.events.subscribe.push(...permissions.events.subscribe);
  set.services.push(...Object.keys(consumes));
  return set;
}

export function entriesOf(set: PermissionSet): Permission[] {
  return [
    ...FLAGS.filter((kind) => set[kind]).map((kind) => ({ kind })),
    ...LISTS.flatMap(({ kind, of }) => of(set).map((value) => ({ kind, value }))),
  ];
}

export function toSet(entries: Iterable<Permission>): PermissionSet {
  const set = nothing();
  for (const { kind, value } of entries) {
    const list = LISTS.find((one) => one.kind === kind)?.of(set);
    if (list && value !== undefined) list.push(value);
    else if ((FLAGS as readonly string[]).includes(kind)) set[kind as (typeof FLAGS)[number]] = true;
  }
  return set;
}

/** One a line, for people and the audit trail, which would mask what is called a secret. */
export const toTexts = (set: PermissionSet): string[] =>
  entriesOf(set).map(({ kind, value }) => (value === undefined ? kind : `${kind} ${value}`));

/** The manifest as if it asked for this only. */
export function withPermissions(manifest: PluginManifest, set: PermissionSet): PluginManifest {
  const { services, ...permissions } = set;
  const consumes = Object.entries(manifest.consumes).filter(([name]) => services.includes(name));
  return {
    ...manifest,
    permissions: { ...manifest.permissions, ...permissions },
    consumes: Object.fromEntries(consumes),
  };
}
