import { AtollError, isErrorCode, type Principal } from '@atoll/plugin-sdk/contract';
import type { Middleware } from 'koa';
import type { Deed, DenialSink } from '../audit/index.js';
import type { HttpContext } from './context.js';
import type { PluginHost } from '../plugins/types.js';
import type { Logger } from '../telemetry/logger.js';
import { ownForm } from './error-template.js';
import { originOf, principalOf } from './middleware.js';
import { problemOf, retryAfterOf } from './problem.js';
import { setStandardHeaders } from './standard-headers.js';

/** Under these, nobody without credentials learns what is there and what is not. */
const PROTECTED = /^\/(api|v1)(\/|$)/;

/** Any thrown value as a catalogue error; what nobody planned for becomes INTERNAL without its text. */
export function asAtollError(error: unknown): AtollError {
  if (error instanceof AtollError) return error;
  const { code, status, expose, message } = (error ?? {}) as {
    code?: unknown;
    status?: unknown;
    expose?: unknown;
    message?: unknown;
  };
  if (isErrorCode(code)) return new AtollError(code, String(message));
  if (expose === true && status === 400) return new AtollError('BAD_REQUEST', String(message));
  return new AtollError('INTERNAL', 'Something went wrong in the kernel.', {}, { cause: error });
}

/** Writes an error as the body of the answer: a problem document, or the plugin's own form under its mounts. */
export function writeError(ctx: HttpContext, error: AtollError, host: PluginHost): void {
  const problem = problemOf(error, ctx.state.requestId as string | undefined);
  const template = host.mountOf(ctx.path)?.errorTemplate;
  const own = ownForm(template, problem);
  const retryAfter = retryAfterOf(error);
  ctx.status = problem.status;
  if (retryAfter !== undefined) ctx.set('retry-after', String(retryAfter));
  if (problem.status === 401) ctx.set('www-authenticate', 'Bearer realm="atoll"');
  ctx.type = own ? 'application/json' : 'application/problem+json';
  ctx.body = own ?? JSON.stringify(problem);
}

/** Absolute targets become paths, as in a request to a proxy; what is neither is refused before anything reads it. */
function toOriginForm(ctx: HttpContext): void {
  const target = ctx.req.url ?? '';
  const url = URL.canParse(target) ? new URL(target) : undefined;
  ctx.url = url?.pathname.startsWith('/') ? url.pathname + url.search : '/';
  if (!url) throw new AtollError('BAD_REQUEST', 'The request target is neither a path nor a URL.');
}

function nothingAt(ctx: HttpContext, starting: boolean): AtollError {
  const { path } = ctx;
  if (PROTECTED.test(path) && principalOf(ctx) === undefined) return new AtollError('UNAUTHENTICATED');
  // What plugins will have there is not known yet.
  if (starting) return new AtollError('STARTING', 'The plugins are not up yet.', { retryAfter: 1 });
  return new AtollError('NOT_FOUND', `There is nothing at ${path}.`);
}

function tellDenied(ctx: HttpContext, { code }: AtollError, denials: DenialSink): void {
  const { deed, route, principal } = ctx.state as { deed?: Deed; route?: string; principal?: Principal };
  denials.denied(originOf(ctx, principal), deed ?? { action: `${ctx.method} ${route ?? 'unknown path'}` }, code);
}

export interface ErrorMiddlewareDeps {
  host: PluginHost;
  log: Logger;
  audit?: DenialSink | undefined;
  /** Whether plugins are still to come. */
  starting: () => boolean;
}

/**
 * The outermost place where requests fail: everything thrown below becomes an answer. All that Koa is to write gets its standard
 * headers here; other answers bring their own.
 */
export function errorMiddleware({ host, log, audit: denials, starting }: ErrorMiddlewareDeps): Middleware {
  return async (ctx, next) => {
    try {
      if (!ctx.req.url?.startsWith('/')) toOriginForm(ctx);
      await next();
      if (ctx.status === 404 && ctx.body === undefined && ctx.respond !== false) throw nothingAt(ctx, starting());
    } catch (thrown) {
      const error = asAtollError(thrown);
      ctx.state.errorCode = error.code;
      if (denials && (error.status === 401 || error.status === 403)) tellDenied(ctx, error, denials);
      if (error.code === 'INTERNAL')
        log.error({ err: error.cause ?? error, requestId: ctx.state.requestId }, 'a request failed');
      if (ctx.headerSent || ctx.respond === false) ctx.res.destroy();
      else writeError(ctx, error, host);
    }
    if (ctx.respond !== false && !ctx.headerSent) setStandardHeaders(ctx);
  };
}
