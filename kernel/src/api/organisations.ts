import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { actorOf, type KernelRoute } from '../http/kernel-route.js';
import type { Identity } from '../identity/index.js';
import { listOf, type Page, PageQuery } from '../identity/page.js';
import { closed, Id, Names, Text, Time } from './access.js';

const Slug = Type.String({
  pattern: '^[a-z0-9][a-z0-9-]{0,62}$',
  description: 'Lower case letters, digits and dashes.',
});
const Organisation = Type.Object({ id: Slug, name: Text(200), tier: Slug, createdAt: Time });
const Roles = Type.Object({ roles: Type.Array(Text(100), { maxItems: 50, uniqueItems: true }) }, closed);

/** `/api/v1/organisations`: who shares the installation, and who is in it. */
export function organisationApi(identity: Identity): KernelRoute[] {
  const { organisations, users } = identity;
  const base = '/api/v1/organisations';
  const tag = 'organisations';
  const manage = { tag, permission: 'organisations.manage' as const };
  return [
    {
      tag,
      permission: 'signed-in',
      method: 'GET',
      path: base,
      summary: "Organisations: one's own, or all for those who manage them",
      query: Type.Object(PageQuery),
      response: listOf(Organisation),
      handle: (request) => organisations.list(actorOf(request), request.query as unknown as Page),
    },
    {
      ...manage,
      method: 'POST',
      path: base,
      action: 'organisations.create',
      summary: 'Create an organisation',
      body: Type.Object({ id: Slug, name: Text(200), tier: Type.Optional(Slug) }, closed),
      response: Organisation,
      handle: async ({ body }, ctx) => {
        ctx.status = 201;
        ctx.body = await organisations.create(body as { id: string; name: string });
      },
    },
    {
      tag,
      permission: 'signed-in',
      method: 'GET',
      path: `${base}/:id`,
      summary: 'One organisation',
      response: Organisation,
      handle: async (request) => organisations.get(await organisations.chosen(actorOf(request), request.params.id)),
    },
    {
      ...manage,
      method: 'PATCH',
      path: `${base}/:id`,
      action: 'organisations.update',
      summary: 'Change the name or tier of an organisation',
      body: Type.Object({ name: Type.Optional(Text(200)), tier: Type.Optional(Slug) }, { ...closed, minProperties: 1 }),
      response: Organisation,
      handle: ({ params, body }) => organisations.update(params.id!, body),
    },
    {
      ...manage,
      method: 'DELETE',
      path: `${base}/:id`,
      action: 'organisations.remove',
      summary: 'Remove an organisation with its accounts, sessions and keys',
      handle: ({ params }) => organisations.remove(params.id!),
    },
    {
      ...manage,
      method: 'PUT',
      path: `${base}/:id/members/:user`,
      action: 'organisations.join',
      summary: 'Bring a user of another organisation in, or change their roles',
      body: Roles,
      handle: async (request) => {
        const { id } = await organisations.get(request.params.id!);
        return users.join(actorOf(request), id, request.params.user!, request.body.roles as string[]);
      },
    },
  ];
}

const ROLE_NAME = /^[A-Za-z0-9][A-Za-z0-9 ._-]{0,99}$/;
const Role = Type.Object({ name: Text(100), permissions: Names, builtIn: Type.Boolean() });

/** `/api/v1/roles` and `/api/v1/permissions`: what members may do. */
export function roleApi(identity: Identity): KernelRoute[] {
  const { roles, organisations } = identity;
  const base = '/api/v1/roles';
  const tag = 'roles';
  const query = Type.Object({ organisation: Type.Optional(Id) });
  const own = async (request: Parameters<KernelRoute['handle']>[0]) =>
    organisations.chosen(actorOf(request), request.query.organisation);
  return [
    {
      tag,
      permission: 'users.read',
      method: 'GET',
      path: base,
      summary: 'Roles of the organisation with what they allow',
      query,
      response: listOf(Role),
      handle: async (request) => ({ items: await roles.list(await own(request)) }),
    },
    {
      tag,
      permission: 'users.manage',
      method: 'PUT',
      path: `${base}/:name`,
      action: 'roles.put',
      summary: 'Make or change a role',
      query,
      body: Type.Object({ permissions: Names }, closed),
      response: Role,
      handle: async (request) => {
        const name = request.params.name!;
        if (!ROLE_NAME.test(name)) throw invalidName();
        return roles.put(actorOf(request), await own(request), name, request.body.permissions as string[]);
      },
    },
    {
      tag,
      permission: 'users.manage',
      method: 'DELETE',
      path: `${base}/:name`,
      action: 'roles.remove',
      summary: 'Remove a role; members lose it',
      query,
      handle: async (request) => roles.remove(actorOf(request), await own(request), request.params.name!),
    },
    {
      tag,
      permission: 'signed-in',
      method: 'GET',
      path: '/api/v1/permissions',
      summary: 'All permissions: the kernel’s, and those that plugins declare',
      response: listOf(Type.Object({ name: Text(150), title: Type.String(), plugin: Type.Optional(Id) })),
      handle: () => ({ items: roles.permissions() }),
    },
  ];
}

function invalidName(): AtollError {
  const message = 'must be letters, digits, spaces and . _ -, at most 100';
  return new AtollError('VALIDATION_FAILED', `The name of a role ${message}.`, {
    errors: [{ pointer: '/name', message }],
  });
}
