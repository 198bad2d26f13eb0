import { Type } from 'typebox';
import type { HttpContext } from '../http/context.js';
import type { KernelRequest, KernelRoute } from '../http/kernel-route.js';
import { PENDING_SECONDS } from '../identity/oidc.js';
import type { Identity } from '../identity/index.js';
import { listOf } from '../identity/page.js';
import { Id, Text } from './access.js';
import { clientOf, TokensSchema, uncached } from './auth.js';

const base = '/api/v1/auth/oidc';
const COOKIE = 'atoll_oidc';

/** `/api/v1/auth/oidc`: logging in at OpenID Connect providers. `publicUrl` is where browsers reach this server. */
export function oidcApi({ oidc }: Identity, publicUrl: string | undefined): KernelRoute[] {
  const open = { tag: 'auth', permission: 'public' as const };
  const callback = (ctx: HttpContext, id: string) =>
    `${publicUrl ?? `${ctx.protocol}://${ctx.host}`}${base}/${encodeURIComponent(id)}/callback`;
  return [
    {
      ...open,
      method: 'GET',
      path: base,
      summary: 'Where one can log in',
      response: listOf(Type.Object({ id: Id, title: Text(200) })),
      handle: () => ({ items: oidc.list() }),
    },
    {
      ...open,
      method: 'GET',
      path: `${base}/:provider/login`,
      summary: 'Sends the browser to the provider',
      handle: async ({ params }, ctx) => {
        const { url, pending } = await oidc.begin(params.provider!, callback(ctx, params.provider!));
        setCookie(ctx, pending, PENDING_SECONDS);
        ctx.set('cache-control', 'no-store');
        ctx.redirect(url);
      },
    },
    {
      ...open,
      method: 'GET',
      path: `${base}/:provider/callback`,
      action: 'auth.oidc.login',
      summary: 'Where the provider sends the browser back to; answers with tokens',
      response: TokensSchema,
      handle: (request, ctx) => finish(oidc, request, ctx),
    },
  ];
}

async function finish(oidc: Identity['oidc'], { params, caller }: KernelRequest, ctx: HttpContext): Promise<object> {
  const remembered = cookieOf(ctx.req.headers.cookie);
  // It is good for one answer.
  setCookie(ctx, '', 0);
  const query = ctx.url.includes('?') ? ctx.url.slice(ctx.url.indexOf('?')) : '';
  return uncached(ctx, await oidc.finish(params.provider!, query, remembered, clientOf(caller)));
}

function setCookie(ctx: HttpContext, value: string, seconds: number): void {
  const secure = ctx.secure ? '; Secure' : '';
  ctx.append('set-cookie', `${COOKIE}=${value}; Path=${base}; Max-Age=${seconds}; HttpOnly; SameSite=Lax${secure}`);
}

function cookieOf(header = ''): string | undefined {
  const found = header.split(';').find((part) => part.trim().startsWith(`${COOKIE}=`));
  return found?.trim().slice(COOKIE.length + 1);
}
