import type { Static, TSchema } from 'typebox';
import type { Principal } from './contract/principal.js';

/** Any JSON Schema object; to TypeBox alone, a string would be a schema as well. */
type Schema = TSchema & object;

/** TypeBox schemas of a route. What the kernel has checked arrives in the handler with these types. */
export interface RouteSchemas {
  params?: Schema;
  query?: Schema;
  headers?: Schema;
  body?: Schema;
  /** Used in the OpenAPI document and checked on plain JSON answers. */
  response?: Schema;
  summary?: string;
  description?: string;
  tags?: string[];
  /** What the caller needs beside `plugins.call`: a name out of the manifest's `access`. */
  permission?: string;
  /** Largest accepted body in bytes. */
  maxBodyBytes?: number;
  /** Longest time in ms for an answer, and between the chunks of a stream. */
  timeoutMs?: number;
}

type Field<S, K extends keyof RouteSchemas, Fallback> =
  S extends Record<K, infer T extends TSchema> ? Static<T> : Fallback;

/** What a handler gets. `body` is the parsed JSON (or form) body; without a body schema it is `unknown`. */
export interface HttpRequest<S extends RouteSchemas = RouteSchemas> {
  readonly params: Field<S, 'params', Record<string, string>>;
  readonly query: Field<S, 'query', Record<string, string | string[]>>;
  readonly body: Field<S, 'body', unknown>;
  /** Names are lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly principal: Principal;
  /** Aborts when the client goes away or the deadline passes. */
  readonly signal: AbortSignal;
  /** The web-standard request, with the raw body. */
  readonly request: Request;
}

/** A JSON value, a `Response`, or an async iterable (sent as SSE or NDJSON by the client's `Accept`). */
export type HttpResult = unknown;

export type HttpHandler<S extends RouteSchemas> = (request: HttpRequest<S>) => HttpResult | Promise<HttpResult>;

export interface RouteDefiner {
  (path: string, handler: HttpHandler<Record<never, never>>): void;
  <const S extends RouteSchemas>(path: string, schemas: S, handler: HttpHandler<S>): void;
}

export interface Http {
  get: RouteDefiner;
  post: RouteDefiner;
  put: RouteDefiner;
  patch: RouteDefiner;
  delete: RouteDefiner;
}
