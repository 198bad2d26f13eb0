import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import type { Middleware } from 'koa';
import type { HttpContext } from './context.js';
import { authorize } from '../auth/index.js';
import type { RateLimits } from '../limits/index.js';
import type { PluginHost, RouteCall } from '../plugins/types.js';
import type { Validator } from '../schema/index.js';
import { parseJson, readBody } from './body.js';
import { ClientSignal } from './client-signal.js';
import { headersForPlugin } from './headers.js';
import { principalOf } from './middleware.js';
import { countCall } from './rate-limit.js';
import { sendReply } from './reply.js';
import type { CompiledRoute, RouteMatch, RouteTable } from './route-table.js';

export interface PluginRoutesDeps {
  routes: RouteTable;
  host: PluginHost;
  maxBodyBytes: number;
  limits?: RateLimits | undefined;
}

/** Answers what belongs to plugins: match → authorise → validate → call. All of it before the isolate is entered. */
export function pluginRoutes(deps: PluginRoutesDeps): Middleware {
  return async (ctx, next) => {
    const found = findRoute(ctx, deps) ?? (await awaitRoute(ctx, deps));
    if (!found) return next();
    ctx.state.route = found.route.path;
    const { limits } = deps;
    const caller = principalOf(ctx);
    if (limits?.applies('plugin', caller)) await countCall(ctx, limits, 'plugin', caller);
    const principal = authorizeCall(ctx, found.route);
    const { maxBodyBytes = deps.maxBodyBytes } = found.route.registration;
    const raw = hasBody(ctx) ? await readBody(ctx.req, maxBodyBytes) : undefined;
    const match = needsNewLook(found.route) ? await findLive(ctx, deps, found) : found;
    if (!match) return next();
    if (match !== found) authorizeCall(ctx, match.route);
    // From the look to the call nothing else may run, or a swap could come in between.
    await sendReply(ctx, await match.route.call(toCall(ctx, match, principal, raw)), match.route.errorTemplate);
  };
}

function authorizeCall(ctx: HttpContext, { permission }: CompiledRoute): Principal {
  const principal = authorize(principalOf(ctx), 'plugins.call');
  return permission === undefined ? principal : authorize(principal, permission);
}

const needsNewLook = ({ version }: CompiledRoute) => version !== undefined && (!version.live || version.paused);

/** While the body came in, another version may have taken over, or be about to. */
async function findLive(
  ctx: HttpContext,
  deps: PluginRoutesDeps,
  found: RouteMatch | undefined,
): Promise<RouteMatch | undefined> {
  let match = found;
  while (match && needsNewLook(match.route)) {
    await match.route.version?.resumed();
    match = findRoute(ctx, deps) ?? (await awaitRoute(ctx, deps));
  }
  return match;
}

/** While a canary of its plugin runs, a request may be for that one. This is decided once for each request. */
function tableFor(ctx: HttpContext, { routes, host }: PluginRoutesDeps): RouteTable {
  if (routes.canaries.size === 0) return routes;
  const plugin = host.mountOf(ctx.path)?.plugin;
  const canary = plugin === undefined ? undefined : routes.canaries.get(plugin);
  if (!canary?.live()) return routes;
  ctx.state.canary ??= canary.takes({ principal: principalOf(ctx), headers: ctx.req.headers });
  return ctx.state.canary === true ? canary.routes : routes;
}

function findRoute(ctx: HttpContext, deps: PluginRoutesDeps): RouteMatch | undefined {
  const found = tableFor(ctx, deps).match(ctx.method, pathOf(ctx));
  if (!found || 'route' in found) return found;
  authorize(principalOf(ctx), 'plugins.call');
  ctx.set('allow', found.allowed.join(', '));
  throw new AtollError('METHOD_NOT_ALLOWED', `${ctx.path} knows ${found.allowed.join(', ')}.`);
}

/** A path of a plugin may be there in a moment, when that plugin starts. Undefined for a path of nobody's. */
async function awaitRoute(ctx: HttpContext, deps: PluginRoutesDeps): Promise<RouteMatch | undefined> {
  const { host } = deps;
  const mount = host.mountOf(ctx.path);
  if (!mount) return undefined;
  authorize(principalOf(ctx), 'plugins.call');
  await host.settled(mount.plugin);
  const found = findRoute(ctx, deps);
  if (found) return found;
  throw notActive(host, mount.plugin) ?? new AtollError('NOT_FOUND', `"${mount.plugin}" has nothing at ${ctx.path}.`);
}

function notActive(host: PluginHost, id: string): AtollError | undefined {
  const plugin = host.get(id);
  if (!plugin || plugin.state === 'active') return undefined;
  const code = plugin.state === 'quarantined' ? 'PLUGIN_QUARANTINED' : 'PLUGIN_NOT_ACTIVE';
  return new AtollError(code, `"${id}" is ${plugin.state}${plugin.reason ? `: ${plugin.reason}` : '.'}`);
}

function toCall(
  ctx: HttpContext,
  { route, params }: RouteMatch,
  principal: Principal,
  raw: Buffer | undefined,
): RouteCall {
  const headers = headersForPlugin(ctx.req.headers);
  const call: RouteCall = {
    requestId: ctx.state.requestId as string,
    traceparent: ctx.state.traceparent as string,
    principal,
    method: ctx.method,
    url: ctx.url,
    params: checked(route.params, params, 'The path') as Record<string, unknown>,
    query: checked(route.query, queryOf(ctx), 'The query') as Record<string, unknown>,
    headers,
    signal: new ClientSignal(ctx.res),
  };
  if (route.headers) checked(route.headers, headers, 'The headers');
  const body = checkedBody(route, raw, headers);
  return body ? { ...call, body } : call;
}

const NEEDS_PARSING = /[#\s]/;

/** As Koa's `path`, for which it takes the whole URL apart. */
function pathOf(ctx: HttpContext): string {
  const { url } = ctx;
  if (NEEDS_PARSING.test(url)) return ctx.path;
  const end = url.indexOf('?');
  return end < 0 ? url : url.slice(0, end);
}

/** A plain object of its own; Koa parses anew for every look. */
const queryOf = (ctx: HttpContext): Record<string, unknown> => (ctx.url.includes('?') ? { ...ctx.query } : {});

const hasBody = ({ method, req }: HttpContext) =>
  method !== 'GET' &&
  method !== 'HEAD' &&
  (req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined);

/** Parsed only where a schema asks for it; what is sent on are the client's own bytes, unless defaults were filled in. */
function checkedBody(
  route: CompiledRoute,
  raw: Buffer | undefined,
  headers: Record<string, string>,
): Buffer | undefined {
  if (!route.body) return raw;
  if (!raw || raw.length === 0)
    throw new AtollError('VALIDATION_FAILED', 'A JSON body is needed.', {
      errors: [{ pointer: '', message: 'is required' }],
    });
  const value = parseJson(raw, headers);
  const filled = checked(route.body, value, 'The body');
  return filled === value ? raw : toBuffer(filled);
}

function checked(validator: Validator | undefined, value: unknown, what: string): unknown {
  if (!validator) return value;
  const parsed = validator.parse(value);
  if (validator.check(parsed)) return parsed;
  const errors = validator.errors(parsed);
  const list = errors.map(({ pointer, message }) => `${pointer || '/'} ${message}`).join('; ');
  throw new AtollError('VALIDATION_FAILED', `${what} does not match the schema: ${list}.`, { errors });
}

function toBuffer(value: unknown): Buffer {
  try {
    return Buffer.from(JSON.stringify(value));
  } catch {
    throw new AtollError('VALIDATION_FAILED', 'The body is nested too deeply.', {
      errors: [{ pointer: '', message: 'is nested too deeply' }],
    });
  }
}
