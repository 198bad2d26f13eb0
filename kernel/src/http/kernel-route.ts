import { AtollError, type JsonSchema, type Principal } from '@atoll/plugin-sdk/contract';
import type { Next } from 'koa';
import type { Router } from '@koa/router';
import { authorize, type Permission } from '../auth/index.js';
import { compileGuestSchema } from '../schema/index.js';
import { parseJson, readBody } from './body.js';
import type { HttpContext } from './context.js';

/** One route of the kernel's own API: the same declaration serves routing, checking and the OpenAPI document. */
export interface KernelRoute {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** With `:name` parameters. */
  path: string;
  summary: string;
  tag: string;
  /** Absent: open to everyone. */
  permission?: Permission;
  query?: object;
  /** Schema of the JSON body; an absent body counts as `{}`. */
  body?: object;
  response?: object;
  contentType?: string;
  handle: (request: KernelRequest, ctx: HttpContext) => unknown;
}

export interface KernelRequest {
  params: Record<string, string>;
  query: Record<string, unknown>;
  body: Record<string, unknown>;
}

const MAX_BODY_BYTES = 1_048_576;

export function mountKernelRoute(router: Router, route: KernelRoute): void {
  const query = route.query && compileGuestSchema(route.query as JsonSchema, { coerce: true, defaults: true });
  const body = route.body && compileGuestSchema(route.body as JsonSchema, { defaults: true });
  const handler = async (ctx: HttpContext) => {
    ctx.state.route = route.path;
    if (route.permission) authorize(ctx.state.principal as Principal | undefined, route.permission);
    const request: KernelRequest = {
      params: ctx.params as Record<string, string>,
      query: checked(query, { ...ctx.query }, 'The query'),
      body: body ? checked(body, await jsonBody(ctx), 'The body') : {},
    };
    const result = await route.handle(request, ctx);
    if (result !== undefined) ctx.body = result;
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
