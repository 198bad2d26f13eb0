import { AtollError } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import type { HttpContext } from '../http/context.js';
import { actorOf, type KernelRequest, type KernelRoute } from '../http/kernel-route.js';
import type { Identity } from '../identity/index.js';
import type { LoginInput } from '../identity/login.js';
import { listOf } from '../identity/page.js';
import type { Client, Tokens } from '../identity/sessions.js';
import type { UserRow } from '../identity/user-entity.js';
import { closed, Id, Names, Password, Text, Time } from './access.js';

const Code = Type.String({ minLength: 6, maxLength: 10, description: 'Of the authenticator app.' });
export const TokensSchema = Type.Object({
  accessToken: Type.String(),
  tokenType: Type.Literal('Bearer'),
  expiresIn: Type.Integer({ description: 'Seconds.' }),
  refreshToken: Type.String({ description: 'Works once; the answer has the next one.' }),
  refreshExpiresIn: Type.Integer({ description: 'Seconds.' }),
  organisation: Id,
});
const Login = Type.Object(
  {
    username: Type.String({ minLength: 1, maxLength: 200 }),
    password: Password,
    code: Type.Optional(Code),
    recoveryCode: Type.Optional(Type.String({ minLength: 1, maxLength: 50 })),
    organisation: Type.Optional(Id),
  },
  closed,
);
const RefreshToken = Type.String({ minLength: 1, maxLength: 200 });
const Nothing = Type.Object({}, closed);
const Me = Type.Object({
  kind: Type.String(),
  id: Id,
  organisation: Id,
  organisations: Type.Optional(Type.Array(Id)),
  roles: Names,
  permissions: Names,
  user: Type.Optional(
    Type.Object({
      id: Id,
      username: Text(100),
      name: Type.Optional(Type.String()),
      email: Type.Optional(Type.String()),
      twoFactor: Type.Boolean(),
    }),
  ),
});
const Session = Type.Object({
  id: Id,
  organisation: Id,
  address: Type.String(),
  agent: Type.Optional(Type.String()),
  createdAt: Time,
  usedAt: Time,
  expiresAt: Time,
});

const tag = 'auth';
const base = '/api/v1/auth';
const open = { tag, permission: 'public' as const };
const mine = { tag, permission: 'signed-in' as const };

/** `/api/v1/auth`: logging in and out, and one's own account. */
export function authApi(identity: Identity): KernelRoute[] {
  return [...loginRoutes(identity), ...accountRoutes(identity), ...sessionRoutes(identity), ...totpRoutes(identity)];
}

function loginRoutes(identity: Identity): KernelRoute[] {
  const { login, sessions, principals } = identity;
  const member = async (user: string, organisation: string) =>
    (await principals.ofUser(user, organisation)) !== undefined;
  return [
    {
      ...open,
      method: 'POST',
      path: `${base}/login`,
      action: 'auth.login',
      summary: 'Log in with a password, and a second factor where there is one',
      body: Login,
      response: TokensSchema,
      handle: async ({ body, caller }, ctx) =>
        uncached(ctx, await login.withPassword(body as unknown as LoginInput, clientOf(caller))),
    },
    {
      ...open,
      method: 'POST',
      path: `${base}/refresh`,
      action: 'auth.refresh',
      summary: 'Exchange a refresh token; with `organisation` for tokens to act in that one',
      body: Type.Object({ refreshToken: RefreshToken, organisation: Type.Optional(Id) }, closed),
      response: TokensSchema,
      handle: async ({ body }, ctx) =>
        uncached(
          ctx,
          await sessions.refresh(body.refreshToken as string, body.organisation as string | undefined, member),
        ),
    },
    {
      ...open,
      method: 'POST',
      path: `${base}/logout`,
      action: 'auth.logout',
      summary: 'End the session of the refresh token, or else of the access token that was sent',
      body: Type.Object({ refreshToken: Type.Optional(RefreshToken) }, closed),
      handle: (request) => logout(identity, request),
    },
  ];
}

async function logout({ sessions, credentials }: Identity, { body, caller }: KernelRequest): Promise<void> {
  if (typeof body.refreshToken === 'string') {
    const session = await sessions.ofRefreshToken(body.refreshToken);
    // Logging out of what is over already is no error.
    if (session) await sessions.revoke(session.id, session.user);
    return;
  }
  if (!caller.principal) throw new AtollError('UNAUTHENTICATED');
  const session = credentials.sessionOf(caller.principal);
  if (session === undefined) throw onlyUsers();
  await sessions.revoke(session, caller.principal.id);
}

function accountRoutes(identity: Identity): KernelRoute[] {
  const { users, login, credentials, sessions } = identity;
  return [
    {
      ...mine,
      method: 'GET',
      path: `${base}/me`,
      summary: 'Who one is, and what one may do',
      response: Me,
      handle: (request) => whoAmI(identity, request),
    },
    {
      ...mine,
      method: 'POST',
      path: `${base}/password`,
      action: 'auth.password',
      summary: "Change one's password; all other sessions end",
      body: Type.Object({ currentPassword: Password, newPassword: Password }, closed),
      handle: async (request) => {
        const user = await userOf(identity, request);
        const { currentPassword, newPassword } = request.body as Record<string, string>;
        await login.confirmPassword(user, currentPassword!, clientOf(request.caller));
        const session = credentials.sessionOf(actorOf(request)) ?? '';
        await users.changePassword(user.id, user.username, newPassword!, session);
      },
    },
    {
      ...mine,
      method: 'POST',
      path: `${base}/logout-all`,
      action: 'auth.logout-all',
      summary: 'End all of one’s sessions, this one too',
      body: Nothing,
      handle: async (request) => sessions.revokeAll((await userOf(identity, request)).id),
    },
  ];
}

async function whoAmI({ users }: Identity, request: KernelRequest): Promise<object> {
  const { kind, id, user, organisation, roles, permissions } = actorOf(request);
  const row = user === undefined ? null : await users.byId(user);
  return {
    kind,
    id,
    organisation,
    roles,
    permissions,
    ...(row && {
      organisations: await users.organisationsOf(row.id),
      user: {
        id: row.id,
        username: row.username,
        ...(row.name && { name: row.name }),
        ...(row.email && { email: row.email }),
        twoFactor: row.totpEnabled,
      },
    }),
  };
}

function sessionRoutes(identity: Identity): KernelRoute[] {
  const { sessions } = identity;
  return [
    {
      ...mine,
      method: 'GET',
      path: `${base}/sessions`,
      summary: 'One’s sessions, the latest first',
      response: listOf(Session),
      handle: async (request) => ({ items: await sessions.list((await userOf(identity, request)).id) }),
    },
    {
      ...mine,
      method: 'DELETE',
      path: `${base}/sessions/:id`,
      action: 'auth.sessions.end',
      summary: 'End one of one’s sessions',
      handle: async (request) => {
        const { id } = request.params;
        if (!(await sessions.revoke(id!, (await userOf(identity, request)).id)))
          throw new AtollError('NOT_FOUND', `There is no session "${id!.slice(0, 100)}".`);
      },
    },
  ];
}

function totpRoutes(identity: Identity): KernelRoute[] {
  const { twoFactor, login } = identity;
  const Codes = Type.Object({ recoveryCodes: Type.Array(Type.String()) });
  const confirmed = async (request: KernelRequest): Promise<UserRow> => {
    const user = await userOf(identity, request);
    await login.confirmCode(user, request.body.code as string);
    return user;
  };
  return [
    {
      ...mine,
      method: 'POST',
      path: `${base}/totp/setup`,
      action: 'auth.totp.setup',
      summary: 'A secret for an authenticator app; it counts when it is enabled',
      body: Type.Object({ password: Password }, closed),
      response: Type.Object({ secret: Type.String(), uri: Type.String() }),
      handle: async (request, ctx) => {
        const user = await userOf(identity, request);
        await login.confirmPassword(user, request.body.password as string, clientOf(request.caller));
        return uncached(ctx, await twoFactor.begin(user));
      },
    },
    {
      ...mine,
      method: 'POST',
      path: `${base}/totp/enable`,
      action: 'auth.totp.enable',
      summary: 'From now on logins need a code; the answer has the recovery codes',
      body: Type.Object({ code: Code }, closed),
      response: Codes,
      handle: async (request, ctx) => {
        const user = await userOf(identity, request);
        const recoveryCodes = await login.guarded(user.id, () => twoFactor.enable(user, request.body.code as string));
        return uncached(ctx, { recoveryCodes });
      },
    },
    {
      ...mine,
      method: 'POST',
      path: `${base}/totp/recovery-codes`,
      action: 'auth.totp.recovery-codes',
      summary: 'New recovery codes in place of those that are left',
      body: Type.Object({ code: Code }, closed),
      response: Codes,
      handle: async (request, ctx) =>
        uncached(ctx, { recoveryCodes: await twoFactor.renewRecoveryCodes((await confirmed(request)).id) }),
    },
    {
      ...mine,
      method: 'POST',
      path: `${base}/totp/disable`,
      action: 'auth.totp.disable',
      summary: 'Logins need no code any more',
      body: Type.Object({ code: Code }, closed),
      handle: async (request) => twoFactor.disable(await confirmed(request)),
    },
  ];
}

/** The account of somebody who has logged in: programs with keys do not manage it. */
async function userOf({ users }: Identity, request: KernelRequest): Promise<UserRow> {
  const { kind, id } = actorOf(request);
  const user = kind === 'user' ? await users.byId(id) : null;
  if (!user) throw onlyUsers();
  return user;
}

const onlyUsers = (): AtollError => new AtollError('FORBIDDEN', 'Only a user who has logged in can do this.');

export const clientOf = ({ address, agent }: KernelRequest['caller']): Client => ({
  address,
  ...(agent !== undefined && { agent }),
});

/** Credentials are for this client alone. */
export function uncached<T extends Tokens | object>(ctx: HttpContext, value: T): T {
  ctx.set('cache-control', 'no-store');
  return value;
}
