import { Type } from 'typebox';
import type { KernelRoute } from '../http/kernel-route.js';
import type { NewApiKey } from '../identity/api-keys.js';
import type { Identity } from '../identity/index.js';
import { listOf, type Page, PageQuery } from '../identity/page.js';
import { closed, Id, InOrganisation, scopeOf, Text, Time } from './access.js';

const Scopes = Type.Array(Text(150), {
  minItems: 1,
  maxItems: 200,
  uniqueItems: true,
  description: 'Permissions; `*` stands for all that the owner has. What the owner loses, the key loses, too.',
});
const Key = Type.Object({
  id: Id,
  name: Text(100),
  prefix: Type.String({ description: 'What the key begins with.' }),
  owner: Type.Optional(Id),
  organisation: Id,
  scopes: Scopes,
  expiresAt: Type.Optional(Time),
  lastUsedAt: Type.Optional(Time),
  createdAt: Time,
});
const NewKey = Type.Object({ ...Key.properties, key: Type.String({ description: 'Shown this once.' }) });
const Body = Type.Object({ name: Text(100), scopes: Scopes, expiresAt: Type.Optional(Time) }, closed);
const Patch = Type.Partial(Body, { ...closed, minProperties: 1 });
const Rotate = Type.Object(
  {
    graceSeconds: Type.Integer({
      minimum: 0,
      maximum: 604_800,
      default: 0,
      description: 'How long the old key works beside the new one.',
    }),
  },
  closed,
);
const Query = Type.Object(InOrganisation);

/** `/api/v1/api-keys`: one's own, and all of the organisation for those who manage them. */
export function apiKeyApi(identity: Identity): KernelRoute[] {
  const { keys } = identity;
  const base = '/api/v1/api-keys';
  const common = { tag: 'api keys', permission: 'api-keys.own' as const, query: Query };
  return [
    {
      ...common,
      method: 'GET',
      path: base,
      summary: 'API keys',
      query: Type.Object({ ...PageQuery, ...InOrganisation }),
      response: listOf(Key),
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        // What was used a moment ago is not written down yet.
        await identity.credentials.writeUse();
        return keys.list(actor, organisation, request.query as unknown as Page);
      },
    },
    {
      ...common,
      method: 'POST',
      path: base,
      action: 'api-keys.create',
      summary: 'Create an API key',
      body: Body,
      response: NewKey,
      handle: async (request, ctx) => {
        const { actor, organisation } = await scopeOf(identity, request);
        ctx.status = 201;
        ctx.body = await keys.create(actor, organisation, request.body as unknown as NewApiKey);
        ctx.set('location', `${base}/${(ctx.body as { id: string }).id}`);
      },
    },
    {
      ...common,
      method: 'GET',
      path: `${base}/:id`,
      summary: 'One API key',
      response: Key,
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        await identity.credentials.writeUse();
        return keys.get(actor, organisation, request.params.id!);
      },
    },
    {
      ...common,
      method: 'PATCH',
      path: `${base}/:id`,
      action: 'api-keys.update',
      summary: 'Change the name, scopes or expiry of an API key',
      body: Patch,
      response: Key,
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        return keys.update(actor, organisation, request.params.id!, request.body as Partial<NewApiKey>);
      },
    },
    {
      ...common,
      method: 'DELETE',
      path: `${base}/:id`,
      action: 'api-keys.revoke',
      summary: 'Revoke an API key; it is worth nothing from this moment',
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        await keys.revoke(actor, organisation, request.params.id!);
      },
    },
    {
      ...common,
      method: 'POST',
      path: `${base}/:id/rotate`,
      action: 'api-keys.rotate',
      summary: 'A new key in place of the old one',
      body: Rotate,
      response: NewKey,
      handle: async (request) => {
        const { actor, organisation } = await scopeOf(identity, request);
        return keys.rotate(actor, organisation, request.params.id!, request.body.graceSeconds as number);
      },
    },
  ];
}
