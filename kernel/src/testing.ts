import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { AtollError, type CloudEvent, type ServiceProvider } from '@atoll/plugin-sdk/contract';
import { type PluginManifest, readPluginFolder } from '@atoll/registry';
import Value from 'typebox/value';
import { type Config, ConfigSchema } from './config/index.js';
import { Database } from './database/index.js';
import { createTestDatabase, TEST_SERVER } from './database/testing.js';
import { createCache } from './di/compose.js';
import { register, registerLazy, resolve } from './di/container.js';
import * as T from './di/tokens.js';
import { Kernel } from './kernel.js';
import { PluginFetch, type PluginFetchReply, type PluginFetchRequest, type SecretSource } from './net/index.js';
import { ServiceRegistry, type ServiceRequest } from './plugins/service-registry.js';
import { MemoryStateStore } from './plugins/state-store.js';
import type { PluginLogLine } from './plugins/types.js';
import type { Syscall, SyscallReply } from './sandbox/host/syscall.js';
import { newTraceparent } from './telemetry/trace.js';

export type FakeMethod = (input: unknown) => unknown;
export type FakeFetch = (request: Request) => Response | Promise<Response>;

export interface PluginUnderTestOptions {
  config?: Record<string, unknown>;
  /** Answers the plugin's `fetch` instead of the network. Permissions are checked as always. */
  fetch?: FakeFetch;
  /** Service → method → answer, instead of other plugins. */
  services?: Record<string, Record<string, FakeMethod>>;
  /** Which secrets exist. Their values matter to the network only, which a test replaces. */
  secrets?: string[];
  /** Start of a manual clock, epoch ms. */
  now?: number;
  /** On the disk, as in production, instead of in memory; or on this server. */
  database?: { onDisk: true } | { url: string };
}

const KEY = 'plugin-under-test-root-key';

/** A plugin in a real isolate of a real kernel, with chosen capabilities faked. */
export class PluginUnderTest {
  readonly events: CloudEvent[] = [];

  private constructor(
    private readonly kernel: Kernel,
    private readonly clock: { now: number } | undefined,
    readonly id: string,
    private readonly url: string,
    private readonly cleanUp: () => Promise<void>,
  ) {}

  /** Rejects with the reason when the plugin does not become active. */
  static async start(dir: string, options: PluginUnderTestOptions = {}): Promise<PluginUnderTest> {
    const { manifest } = await readPluginFolder(dir);
    const dataDir = await mkdtemp(path.join(tmpdir(), 'atoll-test-'));
    const { database } = options;
    const named = database ? ('url' in database ? database.url : undefined) : TEST_SERVER;
    const server = named === undefined ? undefined : await createTestDatabase(named);
    const cleanUp = async () => {
      await rm(dataDir, { recursive: true, force: true });
      await server?.drop();
    };
    const config = testConfig(dir, dataDir, manifest.id, options);
    if (server) config.database.url = server.url;
    const clock = options.now === undefined ? undefined : { now: options.now };
    const kernel = new Kernel({
      config,
      override: (container) => fakeCapabilities(container, options, clock),
      fakes: {
        services: Object.keys(options.services ?? {}),
        ...(options.now !== undefined && { clockStart: options.now }),
      },
    });
    const { url } = await kernel.start();
    const test = new PluginUnderTest(kernel, clock, manifest.id, url, cleanUp);
    resolve(kernel.container, T.EVENT_BUS).subscribe('**', (event) => test.events.push(event));
    const info = resolve(kernel.container, T.PLUGIN_MANAGER).get(manifest.id);
    if (info?.state === 'active') return test;
    await test.close();
    throw new AtollError(
      'PLUGIN_START_FAILED',
      `The plugin is ${info?.state ?? 'not installed'}: ${info?.reason ?? 'see the logs'}`,
    );
  }

  /** A request as a client with the root key would send it. */
  request(
    method: string,
    target: string,
    init: { headers?: Record<string, string>; body?: NonNullable<RequestInit['body']> } = {},
  ): Promise<Response> {
    return fetch(`${this.url}${target}`, {
      method,
      // What the plugin answers, not what is at another place.
      redirect: 'manual',
      ...init,
      headers: { ...init.headers, authorization: `Bearer ${KEY}` },
    });
  }

  /** Publishes an event and waits until the plugin's listeners are done. Rejects when one of them failed. */
  async emit(topic: string, data: unknown): Promise<void> {
    const failures = await resolve(this.kernel.container, T.EVENT_BUS).parallel(topic, data);
    if (failures.length > 0) throw failures[0];
  }

  /** Moves the manual clock, in ms. */
  async advance(ms: number): Promise<void> {
    if (this.clock) this.clock.now += ms;
    const instance = resolve(this.kernel.container, T.PLUGIN_MANAGER).instance(this.id);
    await instance?.call({ meta: { m: 'clock', advance: ms }, timeoutMs: 10_000, traceparent: newTraceparent() });
  }

  /** The database behind it. */
  get database(): Database {
    return resolve(this.kernel.container, T.DATABASE);
  }

  logs(): PluginLogLine[] {
    return resolve(this.kernel.container, T.PLUGIN_MANAGER).logs(this.id, { limit: 1000 });
  }

  async close(): Promise<void> {
    await this.kernel.stop();
    await this.cleanUp();
  }
}

function testConfig(dir: string, dataDir: string, id: string, { config }: PluginUnderTestOptions): Config {
  const defaults = Value.Default(
    ConfigSchema,
    Object.fromEntries(Object.keys(ConfigSchema.properties).map((section) => [section, {}])),
  ) as Config;
  return {
    ...defaults,
    server: { ...defaults.server, port: 0, dataDir },
    auth: { ...defaults.auth, adminKey: KEY },
    database: { ...defaults.database },
    sandbox: { ...defaults.sandbox, spares: 0 },
    log: { ...defaults.log, level: 'silent' },
    plugins: { ...defaults.plugins, path: [dir], config: config ? { [id]: config } : {} },
  };
}

function fakeCapabilities(
  container: Kernel['container'],
  options: PluginUnderTestOptions,
  clock: { now: number } | undefined,
): void {
  // Entries grow old by the plugin's clock.
  if (clock) registerLazy(container, T.CACHE, (c) => createCache(c, () => clock.now));
  const { fetch: fake, services, secrets = [] } = options;
  const source: SecretSource = {
    get: (name) => (secrets.includes(name) ? { hosts: [], reveal: () => 'faked' } : undefined),
  };
  register(container, T.SECRETS, source);
  const { database: config } = resolve(container, T.CONFIG);
  const [log, metrics] = [resolve(container, T.LOGGER), resolve(container, T.METRICS)];
  // In memory unless a server is named: nothing of a test outlives it.
  if (!options.database) register(container, T.DATABASE, { useFactory: () => new Database({ config, log, metrics }) });
  register(container, T.STATE_STORE, new MemoryStateStore());
  if (services) register(container, T.SERVICE_REGISTRY, new FakedServices(services));
  if (fake) register(container, T.PLUGIN_FETCH, new FakedFetch(resolve(container, T.CONFIG).net, source, fake));
}

class FakedFetch extends PluginFetch {
  constructor(
    limits: Config['net'],
    secrets: SecretSource,
    private readonly fake: FakeFetch,
  ) {
    super({ limits, secrets });
  }

  override async fetch(request: PluginFetchRequest): Promise<PluginFetchReply> {
    this.assertGranted(request);
    const { url, method, headers } = request.head;
    request.onUse?.(new URL(url));
    const chunks: Buffer[] = [];
    if (Buffer.isBuffer(request.body)) chunks.push(request.body);
    else if (request.body) for await (const chunk of request.body) chunks.push(chunk);
    const body = chunks.length > 0 ? Buffer.concat(chunks) : undefined;
    const response = await this.fake(new Request(url, { method, headers, body: body ?? null }));
    const head = {
      status: response.status,
      statusText: response.statusText,
      url,
      redirected: false,
      headers: [...response.headers.entries()],
    };
    return { head, body: response.body && toBuffers(response.body) };
  }
}

async function* toBuffers(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  for await (const chunk of stream) yield Buffer.from(chunk);
}

class FakedServices extends ServiceRegistry {
  constructor(private readonly fakes: Record<string, Record<string, FakeMethod>>) {
    super();
  }

  override providersFor(consumer: PluginManifest, service: string): ServiceProvider[] {
    const real = super.providersFor(consumer, service);
    return Object.hasOwn(this.fakes, service)
      ? [{ plugin: 'fake', pluginVersion: '0.0.0', service, version: '0.0.0' }, ...real]
      : real;
  }

  override async call(consumer: PluginManifest, request: ServiceRequest, syscall: Syscall): Promise<SyscallReply> {
    const fake = this.fakes[request.service]?.[request.method];
    if (!fake) return super.call(consumer, request, syscall);
    const answer = await fake(request.input);
    if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer)
      return { stream: toTexts(answer as AsyncIterable<unknown>) };
    return answer === undefined ? {} : { value: answer };
  }
}

async function* toTexts(values: AsyncIterable<unknown>): AsyncGenerator<string> {
  for await (const value of values) yield JSON.stringify(value);
}
