import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  AtollError,
  ERRORS,
  type ErrorCode,
  type HttpHandler,
  type PluginContext,
  type PluginDefinition,
  type RouteSchemas,
  type ServiceContract,
} from '@atoll/plugin-sdk';
import Schema from 'typebox/schema';

/** A plugin to run, with its configuration and its manifest's `errors` template. */
export interface HostedPlugin {
  id: string;
  definition: PluginDefinition<never>;
  config?: Record<string, unknown>;
}

interface Route {
  method: string;
  pattern: RegExp;
  schemas: RouteSchemas;
  handler: HttpHandler<RouteSchemas>;
}

type Methods = Record<string, (input: unknown, call: object) => unknown>;
interface Provider {
  plugin: string;
  contract: ServiceContract;
  methods: Methods;
}

/**
 * Runs plugins in this process behind a real HTTP server, without sandbox or permissions: enough to try their logic
 * with real clients in a unit test. What crosses between plugins is copied as JSON and checked against the contract, as
 * the kernel does.
 */
export async function startPluginHost(plugins: HostedPlugin[], mount = '/v1', secrets: Record<string, string> = {}) {
  const providers: Provider[] = [];
  const routes: Route[] = [];
  for (const { id, definition, config = {} } of plugins) {
    await definition.setup(contextFor(id, config as never, providers, routes, mount, secrets));
  }
  const server = createServer((request, response) => {
    serve(routes, request, response).catch((error) => sendError(response, error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    service: (name: string) =>
      client(providers, name, undefined) as Record<string, (input?: unknown) => Promise<unknown>>,
    /** What a plugin provides is gone, as when it has stopped. */
    withdraw: (id: string) => {
      const left = providers.filter(({ plugin }) => plugin !== id);
      providers.splice(0, providers.length, ...left);
    },
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

function contextFor(
  id: string,
  config: never,
  providers: Provider[],
  routes: Route[],
  mount: string,
  secrets: Record<string, string>,
): PluginContext<never> {
  const define =
    (method: string) =>
    (path: string, ...rest: unknown[]) => {
      const handler = rest.at(-1) as Route['handler'];
      const schemas = rest.length > 1 ? (rest[0] as RouteSchemas) : {};
      const source = `${mount}${path}`.replace(/\*(\w+)/g, '(?<$1>.+)').replace(/:(\w+)/g, '(?<$1>[^/]+)');
      routes.push({ method, pattern: new RegExp(`^${source}$`), schemas, handler });
    };
  const http = {
    get: define('GET'),
    post: define('POST'),
    put: define('PUT'),
    patch: define('PATCH'),
    delete: define('DELETE'),
  };
  const services = {
    provide: (contract: ServiceContract, methods: Methods) => providers.push({ plugin: id, contract, methods }),
    use: (contract: ServiceContract | string, { provider }: { provider?: string } = {}) => {
      return client(providers, typeof contract === 'string' ? contract : contract.name, provider);
    },
    providers: async (name: string) => {
      const found = providers.filter(({ contract }) => contract.name === name);
      return found.map(({ plugin, contract }) => ({
        plugin,
        pluginVersion: '1.0.0',
        service: name,
        version: contract.version,
      }));
    },
  };
  const silent = () => {};
  return {
    plugin: { id, version: '1.0.0' },
    config,
    http,
    services,
    secrets: { ref: (name: string) => secrets[name] ?? '', has: async (name: string) => name in secrets },
    log: { debug: silent, info: silent, warn: silent, error: silent },
  } as unknown as PluginContext<never>;
}

const copy = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

function assertMatches(schema: object | undefined, value: unknown, what: string): void {
  if (schema && !Schema.Check(schema, value)) {
    throw new AtollError(
      'VALIDATION_FAILED',
      `${what} does not match: ${JSON.stringify(Schema.Errors(schema, value))}`,
    );
  }
}

function client(providers: Provider[], service: string, wanted: string | undefined): object {
  return new Proxy(
    {},
    { get: (_, method) => (typeof method === 'string' && method !== 'then' ? call(method) : undefined) },
  );

  function call(method: string) {
    return (input: unknown, { signal = new AbortController().signal }: { signal?: AbortSignal } = {}) => {
      const provider = providers.find(
        ({ plugin, contract }) => contract.name === service && (wanted ?? plugin) === plugin,
      );
      if (!provider) throw new AtollError('SERVICE_UNAVAILABLE', `No provider of ${service}.`);
      const shape = provider.contract.methods[method]!;
      const what = `${service}.${method}`;
      const run = async () => {
        assertMatches(shape.input, copy(input), `The input of ${what}`);
        const result = await provider.methods[method]!(copy(input), { signal, caller: 'test', principal: {} });
        if (shape.stream) return checked(result as AsyncIterable<unknown>, shape.chunk, what);
        assertMatches(shape.output, copy(result), `The answer of ${what}`);
        return copy(result);
      };
      const promise = run();
      return Object.assign(promise, {
        async *[Symbol.asyncIterator]() {
          yield* (await promise) as AsyncIterable<unknown>;
        },
      });
    };
  }
}

async function* checked(
  stream: AsyncIterable<unknown>,
  schema: object | undefined,
  what: string,
): AsyncGenerator<unknown> {
  for await (const chunk of stream) {
    assertMatches(schema, copy(chunk), `A chunk of ${what}`);
    yield copy(chunk);
  }
}

async function serve(routes: Route[], request: IncomingMessage, response: ServerResponse): Promise<void> {
  const controller = new AbortController();
  response.on('close', () => controller.abort());
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const url = new URL(request.url ?? '/', 'http://localhost');
  const route = routes.find(({ method, pattern }) => method === request.method && pattern.test(url.pathname));
  if (!route) throw new AtollError('NOT_FOUND', `No route ${request.method} ${url.pathname}.`);
  const text = Buffer.concat(parts).toString('utf8');
  const body: unknown = text === '' ? undefined : JSON.parse(text);
  assertMatches(route.schemas.body, body, 'The body');
  const params = { ...route.pattern.exec(url.pathname)?.groups };
  const headers = request.headers as Record<string, string>;
  const raw = new Request(url, { method: 'POST', body: text });
  const call = { params, query: {}, body, headers, signal: controller.signal, request: raw };
  const result = await route.handler(call as never);
  if (!(result instanceof Response)) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(result));
    return;
  }
  response.writeHead(result.status, Object.fromEntries(result.headers));
  const reader = result.body?.getReader();
  response.on('close', () => void reader?.cancel().catch(() => {}));
  for (let step = await reader?.read(); step && !step.done; step = await reader?.read()) response.write(step.value);
  response.end();
}

const TYPES: Record<number, string> = { 401: 'authentication_error', 403: 'permission_error', 429: 'rate_limit_error' };

function sendError(response: ServerResponse, thrown: unknown): void {
  const error = thrown as { code?: ErrorCode; message?: string; extras?: { status?: number } };
  const code = error.code && error.code in ERRORS ? error.code : 'PLUGIN_ERROR';
  const status = error.extras?.status ?? ERRORS[code].status;
  const type = TYPES[status] ?? (status < 500 ? 'invalid_request_error' : 'server_error');
  if (response.headersSent) return void response.destroy();
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ error: { message: error.message, type, param: null, code } }));
}
