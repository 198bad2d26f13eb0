import { AtollError } from '@atoll/plugin-sdk/contract';
import {
  type Channel,
  diffPermissions,
  PACKAGE_LIMITS,
  type PackageStore,
  type PermissionKind,
  type SearchQuery,
  type StoredVersion,
} from '@atoll/registry';
import { Type } from 'typebox';
import type { PackageName } from '../cluster/index.js';
import { readBody } from '../http/body.js';
import type { KernelRoute } from '../http/kernel-route.js';
import type { Follower } from '../marketplace/follower.js';
import type { Installer, InstallOptions, Outcome, UpgradeOptions } from '../marketplace/installer.js';
import { CanaryRequest } from '../plugins/canary/spec.js';
import type { PluginHost } from '../plugins/types.js';

const Search = Type.Object({
  q: Type.Optional(Type.String({ maxLength: 500 })),
  category: Type.Optional(Type.String({ maxLength: 100 })),
  verified: Type.Optional(Type.Boolean()),
  permissions: Type.Optional(Type.String({ description: 'Kinds that it asks for, comma-separated.', maxLength: 500 })),
  withoutPermissions: Type.Optional(Type.String({ description: 'Kinds that it does not ask for.', maxLength: 500 })),
  compatibleWith: Type.Optional(Type.String({ description: 'A kernel version.', maxLength: 100 })),
  limit: Type.Integer({ minimum: 1, maximum: 100, default: 20 }),
  cursor: Type.Optional(Type.String({ maxLength: 500 })),
});
const Version = Type.String({ minLength: 1, maxLength: 256 });
const Install = Type.Object({
  version: Type.Optional(Version),
  consent: Type.Boolean({ default: false, description: 'Agrees to the permissions of the plan.' }),
  dryRun: Type.Boolean({ default: false, description: 'Only tells what would be done.' }),
  discardState: Type.Boolean({ default: false }),
});
const Upgrade = Type.Object({
  ...Install.properties,
  canary: Type.Optional(CanaryRequest),
  rehearse: Type.Optional(
    Type.Boolean({
      description:
        'Swap it in only when it does the recorded calls as the running version; false: whatever is configured, do not ask.',
    }),
  ),
});
const Publish = Type.Object({
  channel: Type.Optional(
    Type.Union([Type.Literal('latest'), Type.Literal('next')], {
      description: 'Without it: next for a pre-release, else latest.',
    }),
  ),
  backport: Type.Boolean({ default: false, description: 'Also when it is older than what is there.' }),
});
const Done = Type.Object({ plan: Type.Array(Type.Unknown()), done: Type.Boolean() });

export interface MarketplaceDeps {
  store: PackageStore;
  /** Made when it is first needed: the database opens beside everything else. */
  installer: () => Installer;
  follower: () => Follower;
  host: PluginHost;
  /** Runs a change of the packages, so that all nodes have it; `removed` is the one that it removes. */
  changes: <T>(work: () => Promise<T>, removed?: PackageName) => Promise<T>;
}

/** `/api/v1/marketplace`, and what of it changes `/api/v1/plugins`. */
export function marketplaceApi(deps: MarketplaceDeps): KernelRoute[] {
  return [...browsing(deps), ...publishing(deps), ...installing(deps), following(deps)];
}

function browsing({ store, host }: MarketplaceDeps): KernelRoute[] {
  const common = { method: 'GET' as const, tag: 'marketplace', permission: 'plugins.read' as const };
  const base = '/api/v1/marketplace';
  const installed = (id: string) => {
    const plugin = host.get(id);
    return plugin ? { installed: plugin.version } : {};
  };
  return [
    {
      ...common,
      path: base,
      summary: 'Plugins that can be installed: full text, filters, facets',
      query: Search,
      handle: async ({ query }) => {
        await store.refresh();
        const page = store.catalogue.search(toSearch(query));
        return { ...page, items: page.items.map((hit) => ({ ...hit, ...installed(hit.id) })) };
      },
    },
    {
      ...common,
      path: `${base}/:id`,
      summary: 'A plugin with all its versions, and the readme of the newest',
      handle: async ({ params }) => {
        await store.refresh();
        const listing = store.catalogue.get(params.id!);
        if (!listing) throw new AtollError('PLUGIN_NOT_FOUND', `The registry has no plugin "${params.id}".`);
        const shown = listing.versions.find(
          ({ version }) => version === (listing.channels.latest ?? listing.channels.next),
        );
        return {
          ...listing,
          versions: listing.versions.map(summaryOf),
          ...(shown?.facts && describe(shown)),
          ...installed(listing.id),
        };
      },
    },
    {
      ...common,
      path: `${base}/:id/versions/:version`,
      summary: 'One version: manifest, readme, signer',
      handle: ({ params }) => detailsOf(need(store, params.id!, params.version!)),
    },
    {
      ...common,
      path: `${base}/:id/versions/:version/tarball`,
      summary: 'The package itself',
      contentType: 'application/octet-stream',
      handle: async ({ params }, ctx) => {
        const { id, version } = params as { id: string; version: string };
        ctx.body = await store.tarball(id, version);
        ctx.type = 'application/octet-stream';
        ctx.attachment(`${id}-${version}.tgz`);
      },
    },
    {
      ...common,
      path: `${base}/:id/difference`,
      summary: 'What one version asks for beyond another',
      query: Type.Object({ from: Type.Optional(Version), to: Version }),
      handle: ({ params, query }) => {
        const [from, to] = [query.from, query.to].map((version) =>
          version === undefined ? undefined : need(store, params.id!, String(version)).facts?.manifest,
        );
        return diffPermissions(from, to!);
      },
    },
  ];
}

function publishing({ store, host, changes }: MarketplaceDeps): KernelRoute[] {
  const common = { tag: 'marketplace', permission: 'plugins.manage' as const };
  const base = '/api/v1/marketplace';
  const Reason = Type.Object({ reason: Type.String({ minLength: 1, maxLength: 1_000 }) });
  return [
    {
      ...common,
      method: 'POST',
      path: `${base}/publish`,
      summary: 'Take a package into the registry; the body is the tarball',
      query: Publish,
      response: Type.Object({ outcome: Type.String(), id: Type.String(), version: Type.String() }),
      handle: async ({ query }, ctx) => {
        const tarball = await readBody(ctx.req, PACKAGE_LIMITS.tarballBytes);
        const { channel, backport } = query as { channel?: Channel; backport: boolean };
        const admitted = await changes(() => store.publish(tarball, { backport, ...(channel && { channel }) }));
        ctx.status = admitted.outcome === 'added' ? 201 : 200;
        return admitted;
      },
    },
    {
      ...common,
      method: 'POST',
      path: `${base}/:id/versions/:version/yank`,
      summary: 'Never choose this version anew; who runs it keeps it',
      body: Reason,
      handle: async ({ params, body }) => {
        await changes(() => store.yank(params.id!, params.version!, String(body.reason)));
        return summaryOf(need(store, params.id!, params.version!));
      },
    },
    {
      ...common,
      method: 'POST',
      path: `${base}/:id/versions/:version/unyank`,
      summary: 'Let this version be chosen again',
      handle: async ({ params }) => {
        await changes(() => store.unyank(params.id!, params.version!));
        return summaryOf(need(store, params.id!, params.version!));
      },
    },
    {
      ...common,
      method: 'DELETE',
      path: `${base}/:id/versions/:version`,
      summary: 'Delete a version from the registry; refused while it is installed',
      handle: async ({ params }, ctx) => {
        const { id, version } = params as unknown as PackageName;
        const remove = async () => {
          if (host.get(id)?.version === version) throw new AtollError('CONFLICT', `${id}@${version} is installed.`);
          await store.remove(id, version);
        };
        await changes(remove, { id, version });
        ctx.status = 204;
      },
    },
  ];
}

function installing({ installer, host }: MarketplaceDeps): KernelRoute[] {
  const common = { tag: 'marketplace', permission: 'plugins.manage' as const, response: Done };
  const plugins = '/api/v1/plugins';
  const answer = (id: string, { plan, done, canary }: Outcome) => ({
    done,
    ...(canary && { canary }),
    plan: plan.steps,
    needConsent: plan.needConsent,
    unchanged: plan.unchanged,
    ...(done && host.get(id) && { plugin: host.get(id) }),
  });
  return [
    {
      ...common,
      method: 'POST',
      path: '/api/v1/marketplace/:id/install',
      summary: 'Install a plugin with all it needs: a plan, and then all of it or nothing',
      body: Install,
      handle: async ({ params, body }) =>
        answer(params.id!, await installer().install(params.id!, body as InstallOptions)),
    },
    {
      ...common,
      method: 'POST',
      path: `${plugins}/:id/upgrade`,
      summary: 'Swap in the newest version, or the one named; with `canary`, for some calls first',
      body: Upgrade,
      handle: async ({ params, body }) =>
        answer(params.id!, await installer().upgrade(params.id!, body as UpgradeOptions)),
    },
    {
      ...common,
      method: 'POST',
      path: `${plugins}/:id/rollback`,
      summary: 'Swap the version before in, or another that ran once',
      body: Type.Object({ version: Type.Optional(Version), discardState: Type.Boolean({ default: false }) }),
      handle: async ({ params, body }) => answer(params.id!, await installer().rollback(params.id!, body)),
    },
    {
      ...common,
      method: 'DELETE',
      path: `${plugins}/:id`,
      summary: 'Remove an installed plugin; its data stays until it is purged',
      query: Type.Object({
        cascade: Type.Boolean({ default: false, description: 'Also what needs it.' }),
        dryRun: Type.Boolean({ default: false, description: 'Only tells what would be done.' }),
      }),
      handle: async ({ params, query }) => {
        const { cascade, dryRun } = query as { cascade: boolean; dryRun: boolean };
        return answer(params.id!, await installer().remove(params.id!, { cascade, dryRun }));
      },
    },
  ];
}

function following({ follower, host }: MarketplaceDeps): KernelRoute {
  const channels = [Type.Literal('latest'), Type.Literal('next'), Type.Null()];
  return {
    tag: 'marketplace',
    permission: 'plugins.manage',
    method: 'PUT',
    path: '/api/v1/plugins/:id/follow',
    action: 'plugins.follow',
    summary: 'Swap new versions of a channel in by themselves, or null: no longer',
    body: Type.Object({ channel: Type.Union(channels) }),
    handle: async ({ params, body, note }) => {
      const id = params.id!;
      const channel = (body.channel ?? undefined) as Channel | undefined;
      const before = await follower().follow(id, channel);
      note({ target: `plugin:${id}`, before: { follows: before ?? null }, after: { follows: channel ?? null } });
      return host.get(id);
    },
  };
}

function need(store: PackageStore, id: string, version: string): StoredVersion {
  const stored = store.catalogue.version(id, version);
  if (!stored) throw new AtollError('VERSION_NOT_FOUND', `The registry has no ${id}@${version}.`);
  return stored;
}

const list = (text: unknown) => (typeof text === 'string' && text !== '' ? text.split(',') : undefined);

function toSearch({ permissions, withoutPermissions, ...query }: Record<string, unknown>): SearchQuery {
  const [all, none] = [list(permissions), list(withoutPermissions)];
  return {
    ...query,
    ...(all && { permissions: all as PermissionKind[] }),
    ...(none && { withoutPermissions: none as PermissionKind[] }),
  };
}

/** Without the manifest and the readme, which are long. */
function summaryOf({ facts, ...version }: StoredVersion): object {
  return { ...version, ...(facts && { size: facts.size, engine: facts.manifest.engine }) };
}

function describe({ facts }: StoredVersion): object {
  const { manifest, signer, ...rest } = facts!;
  return { ...rest, manifest, ...(signer && { signer }) };
}

function detailsOf(stored: StoredVersion): object {
  return { ...summaryOf(stored), ...(stored.facts && describe(stored)) };
}
