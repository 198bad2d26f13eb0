import { Type } from 'typebox';
import type { KernelRoute } from '../http/kernel-route.js';
import type { Identity } from '../identity/index.js';
import { listOf, type Page, PageQuery } from '../identity/page.js';
import type { NewUser, UserPatch } from '../identity/users.js';
import { closed, Id, InOrganisation, Names, Password, scopeOf, Text, Time, Username } from './access.js';

const Email = Type.String({ format: 'email', maxLength: 200 });
const User = Type.Object({
  id: Id,
  username: Username,
  name: Type.Optional(Text(200)),
  email: Type.Optional(Email),
  roles: Names,
  home: Id,
  disabled: Type.Boolean(),
  twoFactor: Type.Boolean(),
  createdAt: Time,
  updatedAt: Time,
});
const NewUserBody = Type.Object(
  {
    username: Username,
    password: Type.Optional(Password),
    name: Type.Optional(Text(200)),
    email: Type.Optional(Email),
    roles: Type.Array(Text(100), { maxItems: 50, uniqueItems: true, default: ['user'] }),
  },
  closed,
);
const PatchBody = Type.Object(
  {
    password: Type.Optional(Password),
    name: Type.Optional(Type.Union([Text(200), Type.Null()])),
    email: Type.Optional(Type.Union([Email, Type.Null()])),
    disabled: Type.Optional(Type.Boolean()),
    roles: Type.Optional(Type.Array(Text(100), { maxItems: 50, uniqueItems: true })),
  },
  { ...closed, minProperties: 1 },
);
const Query = Type.Object(InOrganisation);
const Nothing = Type.Object({}, closed);

/** `/api/v1/users`: the users of an organisation. */
export function userApi(identity: Identity): KernelRoute[] {
  const { users } = identity;
  const base = '/api/v1/users';
  const read = { tag: 'users', permission: 'users.read' as const };
  const manage = { tag: 'users', permission: 'users.manage' as const, query: Query };
  return [
    {
      ...read,
      method: 'GET',
      path: base,
      summary: 'The users of the organisation; with `q` those whose names or address have it in them',
      query: Type.Object({ ...PageQuery, ...InOrganisation, q: Type.Optional(Type.String({ maxLength: 200 })) }),
      response: listOf(User),
      handle: async (request) => {
        const { organisation } = await scopeOf(identity, request);
        return users.list(organisation, request.query as unknown as Page, request.query.q as string | undefined);
      },
    },
    {
      ...manage,
      method: 'POST',
      path: base,
      action: 'users.create',
      summary: 'Create a user; the first administrator with the root key',
      body: NewUserBody,
      response: User,
      handle: async (request, ctx) => {
        const { actor, organisation } = await scopeOf(identity, request);
        ctx.status = 201;
        ctx.body = await users.create(actor, organisation, request.body as unknown as NewUser);
        ctx.set('location', `${base}/${(ctx.body as { id: string }).id}`);
      },
    },
    {
      ...read,
      method: 'GET',
      path: `${base}/:id`,
      summary: 'One user',
      query: Query,
      response: User,
      handle: async (request) => users.get((await scopeOf(identity, request)).organisation, request.params.id!),
    },
    {
      ...manage,
      method: 'PATCH',
      path: `${base}/:id`,
      action: 'users.update',
      summary: 'Change a user; a new password or being disabled ends all of their sessions',
      body: PatchBody,
      response: User,
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        return users.update(actor, organisation, request.params.id!, request.body as UserPatch);
      },
    },
    {
      ...manage,
      method: 'DELETE',
      path: `${base}/:id`,
      action: 'users.remove',
      summary: 'Remove a user: at home the account, elsewhere the membership',
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        await users.remove(actor, organisation, request.params.id!);
      },
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:id/logout-all`,
      action: 'users.logout-all',
      summary: 'End all sessions of a user',
      body: Nothing,
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        await users.logoutEverywhere(actor, organisation, request.params.id!);
      },
    },
    {
      ...manage,
      method: 'POST',
      path: `${base}/:id/reset-totp`,
      action: 'users.reset-totp',
      summary: 'Take the second factor of a user away who has lost it, and end all of their sessions',
      body: Nothing,
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        await users.resetSecondFactor(actor, organisation, request.params.id!);
      },
    },
  ];
}
