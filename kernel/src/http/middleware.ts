import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Middleware } from 'koa';
import type { Principal } from '@atoll/plugin-sdk/contract';
import type { Origin } from '../audit/index.js';
import { type Authenticator, digest } from '../auth/index.js';
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
    ctx.state.address = clientAddress(ctx.req, trustProxy);
    const credential = credentialOf(ctx.req);
    if (credential === undefined) return next();
    const principal = authenticator.authenticate(credential.bearer, credential.digested);
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

/** What the last request of each connection was sent with: most send the same again, and a digest costs more than the routing. */
const lastOf = new WeakMap<Socket, Credential>();

interface Credential {
  header: string;
  bearer: string;
  digested: Buffer;
}

function credentialOf({ headers, socket }: IncomingMessage): Credential | undefined {
  const header = headers.authorization;
  if (header === undefined) return undefined;
  const last = lastOf.get(socket);
  // A connection is compared with what it sent itself, so the time that takes tells nobody anything.
  if (last?.header === header) return last;
  const bearer = bearerOf(header);
  if (bearer === undefined) return undefined;
  const credential = { header, bearer, digested: digest(bearer) };
  lastOf.set(socket, credential);
  return credential;
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
