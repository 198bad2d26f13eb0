import { randomUUID } from 'node:crypto';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import helmet from 'helmet';
import type { Middleware } from 'koa';
import compress from 'koa-compress';
import type { Principal } from '@atoll/plugin-sdk/contract';
import type { Origin } from '../audit/index.js';
import type { Authenticator } from '../auth/index.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';
import { continueTrace } from '../telemetry/trace.js';
import { clientAddress } from './client-address.js';
import type { HttpContext } from './context.js';

const REQUEST_ID = /^[A-Za-z0-9_.-]{8,128}$/;

/** Request id, trace and who calls. Whether they may is decided where it matters. */
export function identify(authenticator: Authenticator, trustProxy: boolean): Middleware {
  return (ctx, next) => {
    const given = ctx.req.headers['x-request-id'];
    const requestId = typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    ctx.state.requestId = requestId;
    ctx.state.traceparent = continueTrace(ctx.req.headers.traceparent as string | undefined);
    ctx.res.setHeader('x-request-id', requestId);
    ctx.res.setHeader('traceparent', ctx.state.traceparent as string);
    ctx.state.address = clientAddress(ctx.req, trustProxy);
    const bearer = bearerOf(ctx.req.headers.authorization);
    if (bearer === undefined) return next();
    const principal = authenticator.authenticate(bearer);
    if (!(principal instanceof Promise)) {
      ctx.state.principal = principal;
      return next();
    }
    return principal
      .then(
        (found) => {
          ctx.state.principal = found;
        },
        (error) => {
          ctx.state.unidentified = error;
        },
      )
      .then(next);
  };
}

/** Who calls; undefined without valid credentials. Throws what kept the kernel from finding out. */
export function principalOf({ state }: HttpContext): Principal | undefined {
  if (state.unidentified !== undefined) throw state.unidentified;
  return state.principal as Principal | undefined;
}

export function bearerOf(header: string | undefined): string | undefined {
  return header !== undefined && /^bearer /i.test(header) ? header.slice(7).trim() : undefined;
}

/** For the audit trail. */
export function originOf({ state }: HttpContext, principal: Principal | undefined): Origin {
  return {
    ...(principal && { principal }),
    address: state.address as string,
    traceparent: state.traceparent as string,
  };
}

/** Headers for browsers that are long gone. */
const LEGACY_OFF = {
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false,
};

/** Helmet's headers never change, so they are computed once and not by its dozen middlewares for every request. */
export function securityHeaders(): Middleware {
  const request = new IncomingMessage(new Socket());
  const response = new ServerResponse(request);
  helmet(LEGACY_OFF)(request, response, () => {});
  const headers = Object.entries(response.getHeaders()).map(([name, value]): [string, string] => [name, String(value)]);
  return (ctx, next) => {
    for (const [name, value] of headers) ctx.res.setHeader(name, value);
    return next();
  };
}

/** Smaller answers gain nothing, and most are smaller. Streams are left alone: see reply.ts. */
export function compressLarge(): Middleware {
  const threshold = 2_048;
  const compressor = compress({ threshold, br: false });
  const done = () => Promise.resolve();
  return async (ctx, next) => {
    await next();
    const body: unknown = ctx.body;
    if ((typeof body === 'string' || Buffer.isBuffer(body)) && body.length < threshold) return;
    await compressor(ctx, done);
  };
}

/** Duration by route, and a log line: at debug, or at error when the kernel or a plugin failed. */
export function observe(metrics: Metrics, log: Logger): Middleware {
  return async (ctx, next) => {
    const began = performance.now();
    metrics.startRequest();
    try {
      await next();
    } finally {
      const ms = performance.now() - began;
      const route = (ctx.state.route as string | undefined) ?? (ctx._matchedRoute as string | undefined) ?? 'unmatched';
      const status = ctx.respond === false ? ctx.res.statusCode : ctx.status;
      metrics.endRequest(ctx.method, route, status, ms / 1000);
      const level = status >= 500 ? 'warn' : 'debug';
      if (log.isLevelEnabled(level)) {
        log[level](
          {
            requestId: ctx.state.requestId,
            method: ctx.method,
            route,
            status,
            code: ctx.state.errorCode,
            ms: Math.round(ms),
          },
          'request',
        );
      }
    }
  };
}
