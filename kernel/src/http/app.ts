import cors from '@koa/cors';
import { Router } from '@koa/router';
import Koa from 'koa';
import type { DenialSink } from '../audit/index.js';
import type { Authenticator } from '../auth/index.js';
import type { Config } from '../config/index.js';
import type { RateLimits } from '../limits/index.js';
import type { PluginHost } from '../plugins/types.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';
import { compressLarge } from './compress.js';
import { errorMiddleware } from './errors.js';
import { type KernelRoute, mountKernelRoute, type Recorder, refuseWrongMethod } from './kernel-route.js';
import { identify, observe } from './middleware.js';
import { OpenApi } from './openapi.js';
import { RATE_LIMIT_HEADERS } from './rate-limit.js';
import { pluginRoutes } from './plugin-routes.js';
import type { RouteTable } from './route-table.js';

export interface HttpAppDeps {
  config: Config;
  authenticator: Authenticator;
  host: PluginHost;
  routes: RouteTable;
  kernelRoutes: readonly KernelRoute[];
  /** Where changes and refused calls are recorded. */
  audit?: { trail: Recorder } & DenialSink;
  /** How often who may call what. */
  limits?: RateLimits;
  metrics: Metrics;
  log: Logger;
  version: string;
  /** Whether plugins are still to come. */
  starting: () => boolean;
  /** What readiness depends on, by name. */
  readiness: () => Readiness;
}

export interface Readiness {
  /** What it can't do without, by name. */
  checks: Record<string, boolean>;
  /** What is wrong, in words; ready in spite of what is no check. */
  reasons: Record<string, string>;
}

/** The Koa application: from the outside in, what every request passes. */
export function createHttpApp(deps: HttpAppDeps): Koa {
  const { config, host, routes, log, metrics } = deps;
  const app = new Koa({ proxy: config.server.trustProxy });
  app.silent = true;
  app.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ECONNRESET') log.error({ err: error }, 'koa');
  });
  app.use(identify(deps.authenticator, config.server.trustProxy));
  app.use(observe(metrics, log));
  app.use(errorMiddleware({ host, log, audit: deps.audit, starting: deps.starting }));
  const { corsOrigins } = config.server;
  if (corsOrigins.length > 0)
    app.use(
      cors({
        origin: (ctx) => allowedOrigin(corsOrigins, ctx.get('origin')),
        exposeHeaders: ['x-request-id', 'retry-after', ...RATE_LIMIT_HEADERS],
        maxAge: 600,
      }),
    );
  // First what plugins own: their paths never overlap with the kernel's, and these are most requests.
  app.use(pluginRoutes({ routes, host, maxBodyBytes: config.server.maxBodyBytes, limits: deps.limits }));
  app.use(compressLarge());
  const router = kernelRouter(deps);
  app.use(router.routes() as Koa.Middleware);
  app.use(refuseWrongMethod);
  return app;
}

function allowedOrigin(origins: readonly string[], origin: string): string {
  return origins.includes('*') ? '*' : origins.includes(origin) ? origin : '';
}

function kernelRouter(deps: HttpAppDeps): Router {
  const router = new Router();
  const all: KernelRoute[] = [...deps.kernelRoutes, ...systemRoutes(deps)];
  const openApi = new OpenApi(all, deps.routes, deps.version);
  const document: KernelRoute = {
    method: 'GET',
    path: '/openapi.json',
    tag: 'system',
    permission: 'public',
    summary: 'This document',
    handle: (_, ctx) => {
      ctx.type = 'application/json';
      return openApi.document();
    },
  };
  all.push(document);
  for (const route of all) mountKernelRoute(router, route, { recorder: deps.audit?.trail, limits: deps.limits });
  return router;
}

function systemRoutes({ metrics, readiness }: HttpAppDeps): KernelRoute[] {
  const open = { tag: 'system', permission: 'public' as const };
  return [
    { ...open, method: 'GET', path: '/health/live', summary: 'The process answers', handle: () => ({ status: 'ok' }) },
    {
      ...open,
      method: 'GET',
      path: '/health/ready',
      summary: 'The server takes requests; 503 while it starts or stops, or can not do its part',
      handle: (_, ctx) => {
        const { checks, reasons } = readiness();
        const ready = Object.values(checks).every(Boolean);
        const degraded = Object.keys(reasons).length > 0;
        ctx.status = ready ? 200 : 503;
        return { status: ready ? (degraded ? 'degraded' : 'ok') : 'unavailable', checks, ...(degraded && { reasons }) };
      },
    },
    {
      ...open,
      method: 'GET',
      path: '/metrics',
      summary: 'Prometheus metrics',
      contentType: 'text/plain',
      handle: async (_, ctx) => {
        ctx.type = metrics.registry.contentType;
        ctx.body = await metrics.registry.metrics();
      },
    },
  ];
}
