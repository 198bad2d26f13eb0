import type { Server } from 'node:http';
import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { CloudEvent } from '@atoll/plugin-sdk/contract';
import Value from 'typebox/value';
import { RootKeyAuthenticator } from '../../kernel/src/auth/index.js';
import { type Config, ConfigSchema } from '../../kernel/src/config/schema.js';
import { createHttpApp, RouteTable, ServerGuard } from '../../kernel/src/http/index.js';
import type { KernelRoute } from '../../kernel/src/http/kernel-route.js';
import type { PluginHost, PluginInfo, PluginRoute, RouteCall, RouteReply } from '../../kernel/src/plugins/types.js';
import { createLogger } from '../../kernel/src/telemetry/logger.js';
import { Metrics } from '../../kernel/src/telemetry/metrics.js';
import { WsGateway } from '../../kernel/src/ws/index.js';

export const KEY = 'root-key-of-the-tests';
export const AUTH = { authorization: `Bearer ${KEY}` };

export interface TestServerOptions {
  routes?: PluginRoute[];
  kernelRoutes?: KernelRoute[];
  host?: Partial<PluginHost>;
  server?: Partial<Config['server']>;
  ws?: Partial<Config['ws']>;
  /** Plugins are still to come. */
  starting?: boolean;
}

/** The HTTP and WebSocket layers on a free port, with plugins that are functions. */
export class TestServer {
  readonly listeners = new Map<string, Set<(event: CloudEvent) => void>>();
  readonly table = new RouteTable();
  readonly server: Server;
  readonly guard: ServerGuard;
  readonly gateway: WsGateway;

  private constructor(options: TestServerOptions) {
    const config = configOf(options);
    const authenticator = new RootKeyAuthenticator(KEY);
    const log = createLogger({ ...config.log, level: 'silent' });
    const host = fakeHost(options);
    if (options.routes) this.table.replace('fake', options.routes);
    const { kernelRoutes = [] } = options;
    const readiness = () => ({ checks: { plugins: true }, reasons: {} });
    const starting = () => options.starting ?? false;
    const routes = this.table;
    const app = createHttpApp({
      config,
      authenticator,
      host,
      log,
      routes,
      kernelRoutes,
      metrics: new Metrics(),
      version: '0',
      readiness,
      starting,
    });
    const events = {
      subscribe: (pattern: string, listener: (event: CloudEvent) => void) => this.#subscribe(pattern, listener),
    };
    this.gateway = new WsGateway(app, { config, authenticator, host, log, events });
    this.server = this.gateway.app.listen(0, '127.0.0.1') as Server;
    this.guard = new ServerGuard(this.server, config.server);
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const server = new TestServer(options);
    if (!server.server.listening) await once(server.server, 'listening');
    return server;
  }

  /** Open connections. */
  connections(): Promise<number> {
    return new Promise((resolve, reject) =>
      this.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
    );
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** A request with the root key. */
  call(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.url}${path}`, { ...init, headers: { ...AUTH, ...(init.headers as object) } });
  }

  /** A request with the root key and a JSON body. */
  post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    const headers = { 'content-type': 'application/json', ...(init.headers as object) };
    return this.call(path, { method: 'POST', body: JSON.stringify(body), ...init, headers });
  }

  /** What came back over a socket of its own, after these bytes were sent, until the server ended it. */
  async raw(bytes: string): Promise<string> {
    const socket = connect(this.port, '127.0.0.1');
    socket.write(bytes);
    return readAll(socket);
  }

  emit(topic: string, event: CloudEvent): void {
    for (const listener of this.listeners.get(topic) ?? []) listener(event);
  }

  async close(): Promise<void> {
    await this.gateway.close();
    await this.guard.close();
  }

  #subscribe(pattern: string, listener: (event: CloudEvent) => void): () => void {
    const listeners = this.listeners.get(pattern) ?? new Set();
    this.listeners.set(pattern, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.listeners.delete(pattern);
    };
  }
}

/** Everything a socket gets until it ends, whole or cut. */
export async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1');
  });
  socket.on('error', () => {});
  if (!socket.closed) await once(socket, 'close').catch(() => {});
  return text;
}

/** A route of a plugin that is a function. */
export function route(
  registration: PluginRoute['registration'],
  call: (call: RouteCall) => RouteReply | Promise<RouteReply>,
): PluginRoute {
  return { plugin: 'fake', registration, path: registration.path, call: async (input) => call(input) };
}

/** A JSON answer. */
export function json(value: unknown): RouteReply {
  return { status: 200, headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(value)) };
}

function configOf({ server, ws }: TestServerOptions): Config {
  const sections = Object.entries(ConfigSchema.properties).map(([name, schema]) => [name, Value.Default(schema, {})]);
  const config = Object.fromEntries(sections) as Config;
  return { ...config, server: { ...config.server, ...server }, ws: { ...config.ws, ...ws } };
}

function fakeHost({ host }: TestServerOptions): PluginHost {
  const unexpected = (): never => {
    throw new Error('not part of this test');
  };
  const names = ['enable', 'disable', 'reload', 'logs', 'config', 'setConfig', 'callChannel'] as const;
  const rest = Object.fromEntries(names.map((name) => [name, unexpected]));
  const none = {
    list: (): PluginInfo[] => [],
    get: () => undefined,
    mountOf: () => undefined,
    settled: async () => {},
  };
  return { ...rest, ...none, ...host } as unknown as PluginHost;
}
