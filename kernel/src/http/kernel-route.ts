import { AtollError, type JsonSchema, type Principal } from '@atoll/plugin-sdk/contract';
import type { Next } from 'koa';
import type { Router } from '@koa/router';
import { authorize, type Permission } from '../auth/index.js';
import type { RateLimits, RouteClass } from '../limits/index.js';
import { compileGuestSchema } from '../schema/index.js';
import { parseJson, readBody } from './body.js';
import { originOf, principalOf } from './middleware.js';
import { countCall } from './rate-limit.js';
import type { Deed, Origin } from '../audit/index.js';
import type { HttpContext } from './context.js';

/** One route of the kernel's own API: the same declaration serves routing, checking and the OpenAPI document. */
export interface KernelRoute {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** With `:name` parameters. */
  path: string;
  summary: string;
  tag: string;
  /** Without one nobody may: `public` is open to everyone. */
  permission: Permission;
  query?: object;
  /** Schema of the JSON body; an absent body counts as `{}`. */
  body?: object;
  response?: object;
  contentType?: string;
  /** Name of what it changes, for the audit trail; method and path when absent. `false` for what changes nothing. */
  action?: string | false;
  handle: (request: KernelRequest, ctx: HttpContext) => unknown;
}

export interface KernelRequest {
  params: Record<string, string>;
  query: Record<string, unknown>;
  body: Record<string, unknown>;
  caller: Caller;
  /** Says what the call changes, for the audit trail. */
  note(deed: Partial<Deed>): void;
}

/** Who asks, and from where. */
export interface Caller {
  /** Absent only where the route is public. */
  principal?: Principal;
  address: string;
  agent?: string;
}

/** Of a route that is not public. */
export function actorOf({ caller }: KernelRequest): Principal {
  if (!caller.principal) throw new AtollError('UNAUTHENTICATED');
  return caller.principal;
}

const MAX_BODY_BYTES = 1_048_576;

/** Keeps a record of what routes change. */
export interface Recorder {
  recording<T>(origin: Origin, deed: Deed, work: () => Promise<T>): Promise<T>;
}

export interface MountOptions {
  recorder?: Recorder | undefined;
  limits?: RateLimits | undefined;
}

export function mountKernelRoute(router: Router, route: KernelRoute, { recorder, limits }: MountOptions = {}): void {
  const query = route.query && compileGuestSchema(route.query as JsonSchema, { coerce: true, defaults: true });
  const body = route.body && compileGuestSchema(route.body as JsonSchema, { defaults: true });
  const action = actionOf(route);
  const routeClass = classOf(route);
  const handler = async (ctx: HttpContext) => {
    const about = Object.values(ctx.params as Record<string, string>).join('/');
    const deed: Deed = { action: action ?? `${route.method} ${route.path}`, ...(about !== '' && { target: about }) };
    ctx.state.deed = deed;
    ctx.state.route = route.path;
    const principal = principalOf(ctx);
    if (routeClass && limits?.applies(routeClass, principal)) await countCall(ctx, limits, routeClass, principal);
    if (route.permission !== 'public') authorize(principal, route.permission);
    const request: KernelRequest = {
      params: ctx.params as Record<string, string>,
      query: checked(query, { ...ctx.query }, 'The query'),
      body: body ? checked(body, await jsonBody(ctx), 'The body') : {},
      caller: callerOf(ctx, principal),
      note: (more) => void Object.assign(deed, more),
    };
    const handle = async () => route.handle(request, ctx);
    const result = await (recorder && action !== undefined
      ? recorder.recording(originOf(ctx, principal), deed, handle)
      : handle());
    if (result !== undefined) ctx.body = result;
    else if (ctx.body === undefined && ctx.respond !== false) ctx.status = 204;
  };
  router.register(route.path, [route.method], handler as never);
}

/** 405 where a path of the kernel was matched, though with other methods only. */
export function refuseWrongMethod(ctx: HttpContext, next: Next): Promise<unknown> {
  const layers = (ctx.matched ?? []) as { methods: string[] }[];
  const allowed = [...new Set(layers.flatMap(({ methods }) => methods))];
  if (allowed.length === 0) return next();
  ctx.set('allow', allowed.join(', '));
  throw new AtollError('METHOD_NOT_ALLOWED', `${ctx.path} knows ${allowed.join(', ')}.`);
}

/** What is asked by machines to see whether the server is well is not limited. */
function classOf({ method, path }: KernelRoute): RouteClass | undefined {
  if (!path.startsWith('/api/')) return undefined;
  if (path.startsWith('/api/v1/auth/')) return 'auth';
  return method === 'GET' ? 'read' : 'write';
}

/** Reading leaves no entry. */
function actionOf({ method, path, action }: KernelRoute): string | undefined {
  if (action === false || (action === undefined && method === 'GET')) return undefined;
  return action ?? `${method} ${path}`;
}

function callerOf(ctx: HttpContext, principal: Principal | undefined): Caller {
  const agent = ctx.req.headers['user-agent'];
  return {
    ...(principal && { principal }),
    address: ctx.state.address as string,
    ...(agent !== undefined && { agent }),
  };
}

async function jsonBody(ctx: HttpContext): Promise<unknown> {
  const raw = await readBody(ctx.req, MAX_BODY_BYTES);
  return raw.length === 0 ? {} : parseJson(raw, ctx.req.headers);
}

function checked(
  validator: ReturnType<typeof compileGuestSchema> | undefined,
  value: unknown,
  what: string,
): Record<string, unknown> {
  if (!validator) return value as Record<string, unknown>;
  const parsed = validator.parse(value);
  if (validator.check(parsed)) return parsed as Record<string, unknown>;
  const errors = validator.errors(parsed);
  const list = errors.map(({ pointer, message }) => `${pointer || '/'} ${message}`).join('; ');
  throw new AtollError('VALIDATION_FAILED', `${what} does not match the schema: ${list}.`, { errors });
}
