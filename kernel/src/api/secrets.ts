import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { actorOf, type KernelRoute } from '../http/kernel-route.js';
import { listOf } from '../identity/page.js';
import type { NewSecret, SecretVault } from '../secrets/index.js';
import { closed, Id, Time } from './access.js';

const ROTATE = 'rotate';
const Name = Type.String({
  pattern: '^[A-Za-z_][A-Za-z0-9_.-]{0,127}$',
  description: 'As in `permissions.secrets` of manifests.',
});
const Value = Type.String({
  minLength: 8,
  maxLength: 16_384,
  // What a header can carry.
  pattern: '^[\\t\\x20-\\x7e\\x80-\\xff]*$',
  description:
    'Never shown again. At least 8 characters: shorter ones could not be told from ordinary text in answers.',
});
const Host = Type.String({ maxLength: 260, pattern: '^([A-Za-z0-9_.-]+|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$' });
const Hosts = Type.Array(Host, {
  maxItems: 100,
  uniqueItems: true,
  description: '`host` (any port) or `host:port` it may be sent to; nowhere when empty.',
});
const PLUGIN = '^(\\*|[a-z][a-z0-9-]{0,63})$';
const Plugin = Type.String({ pattern: PLUGIN });
const Plugins = Type.Array(Plugin, {
  maxItems: 200,
  uniqueItems: true,
  description: 'Ids of plugins that may use it if their manifests ask for it; `*` is all of those.',
});
const Secret = Type.Object({
  name: Name,
  source: Type.String({ description: '`api`, or `configuration` for those of the configuration files.' }),
  hosts: Hosts,
  plugins: Plugins,
  version: Type.Optional(Type.Integer({ description: 'The one that is used.' })),
  createdAt: Type.Optional(Time),
  updatedAt: Type.Optional(Time),
});
const Version = Type.Object({
  version: Type.Integer(),
  active: Type.Boolean(),
  createdAt: Time,
  createdBy: Type.String(),
  masterKey: Id,
});
const Rotation = Type.Object({
  key: Type.String({ description: 'Id of the master key in use.' }),
  state: Type.String({ description: '`running`, `done`, or `incomplete` when something can’t be opened.' }),
  left: Type.Integer({ description: 'What is not under that key yet. Until it is 0 the previous key is needed.' }),
});
const Create = Type.Object(
  {
    name: Name,
    value: Value,
    hosts: Type.Array(Host, { ...Hosts, default: [] }),
    plugins: Type.Array(Plugin, { ...Plugins, default: [] }),
  },
  closed,
);

/** `/api/v1/secrets`: what plugins may name in headers of their requests, and never see. */
export function secretApi(vault: SecretVault): KernelRoute[] {
  return [...rotationRoutes(vault), ...secretRoutes(vault), ...versionRoutes(vault), ...grantRoutes(vault)];
}

const base = '/api/v1/secrets';
const read = { tag: 'secrets', permission: 'secrets.read' as const, method: 'GET' as const };
const manage = { tag: 'secrets', permission: 'secrets.manage' as const };

function rotationRoutes({ rotation }: SecretVault): KernelRoute[] {
  return [
    {
      ...read,
      path: `${base}/${ROTATE}`,
      summary: 'How far the exchange of the master key is',
      response: Rotation,
      handle: () => rotation.state(),
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/${ROTATE}`,
      action: 'secrets.rotate',
      summary: 'Exchange the master key; everything is sealed anew in the background, and stays usable',
      body: Type.Object(
        {
          withoutOld: Type.Boolean({
            default: false,
            description: 'The key in use is lost: go on without what it has sealed, which has to be set again.',
          }),
        },
        closed,
      ),
      response: Rotation,
      handle: async ({ body }, ctx) => {
        ctx.status = 202;
        ctx.body = await rotation.rotate(body as { withoutOld: boolean });
      },
    },
  ];
}

function secretRoutes(vault: SecretVault): KernelRoute[] {
  return [
    {
      ...read,
      path: base,
      summary: 'Secrets, without their values',
      response: listOf(Secret),
      handle: async () => ({ items: await vault.list() }),
    },
    {
      ...manage,
      method: 'POST',
      path: base,
      action: 'secrets.create',
      summary: 'Create a secret; a plugin can use it when it asks, is granted it, and sends it to one of its hosts',
      body: Create,
      response: Secret,
      handle: async (request, ctx) => {
        const body = request.body as unknown as NewSecret;
        if (body.name === ROTATE) throw new AtollError('VALIDATION_FAILED', `A secret can't be named "${ROTATE}".`);
        ctx.status = 201;
        ctx.body = await vault.create(body, actorOf(request));
        ctx.set('location', `${base}/${body.name}`);
      },
    },
    {
      ...read,
      path: `${base}/:name`,
      summary: 'One secret, without its value',
      response: Secret,
      handle: ({ params }) => vault.info(params.name!),
    },
    {
      ...manage,
      method: 'PATCH',
      path: `${base}/:name`,
      action: 'secrets.bind',
      summary: 'Bind a secret to other hosts',
      body: Type.Object({ hosts: Hosts }, closed),
      response: Secret,
      handle: ({ params, body }) => vault.bind(params.name!, body.hosts as string[]),
    },
    {
      ...manage,
      method: 'DELETE',
      path: `${base}/:name`,
      action: 'secrets.remove',
      summary: 'Remove a secret with all its versions and grants',
      handle: ({ params }) => vault.remove(params.name!),
    },
  ];
}

function versionRoutes(vault: SecretVault): KernelRoute[] {
  return [
    {
      ...read,
      path: `${base}/:name/versions`,
      summary: 'Versions of a secret, the latest first, without their values',
      response: listOf(Version),
      handle: async ({ params }) => ({ items: await vault.versions(params.name!) }),
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:name/versions`,
      action: 'secrets.set',
      summary: 'Give a secret a new value, which is used from now on',
      body: Type.Object({ value: Value }, closed),
      response: Version,
      handle: async (request, ctx) => {
        ctx.status = 201;
        ctx.body = await vault.addVersion(request.params.name!, request.body.value as string, actorOf(request));
      },
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:name/versions/:version/activate`,
      action: 'secrets.activate',
      summary: 'Use this version from now on, such as the one before',
      response: Secret,
      handle: ({ params }) => {
        if (!/^[1-9]\d{0,8}$/.test(params.version!)) throw new AtollError('NOT_FOUND', 'There is no such version.');
        return vault.activate(params.name!, Number(params.version));
      },
    },
  ];
}

function grantRoutes(vault: SecretVault): KernelRoute[] {
  const path = `${base}/:name/grants/:plugin`;
  return [
    {
      ...manage,
      method: 'PUT',
      path,
      action: 'secrets.grant',
      summary: 'Let a plugin use a secret if its manifest asks for it; `*` is every such plugin',
      response: Secret,
      handle: ({ params }) => {
        if (!new RegExp(PLUGIN).test(params.plugin!))
          throw new AtollError('VALIDATION_FAILED', 'A grant is for the id of a plugin, or `*`.');
        return vault.grant(params.name!, params.plugin!);
      },
    },
    {
      ...manage,
      method: 'DELETE',
      path,
      action: 'secrets.revoke',
      summary: 'Take a secret away from a plugin',
      handle: ({ params }) => vault.revoke(params.name!, params.plugin!),
    },
  ];
}
