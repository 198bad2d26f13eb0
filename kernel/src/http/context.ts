import type { ParameterizedContext } from 'koa';

/** Koa's context of a plain request; `Koa.Context` itself is widened by koa-websocket's types. */
export type HttpContext = ParameterizedContext;
