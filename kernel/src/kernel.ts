import 'reflect-metadata';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { PackageStore } from '@atoll/registry';
import type { DependencyContainer } from 'tsyringe';
import { loadMasterKey, loadRootKey, type RootKey, RootKeyAuthenticator } from './auth/index.js';
import type { Config } from './config/index.js';
import { composeKernel } from './di/compose.js';
import type { Fakes } from './plugins/manager.js';
import { resolve, register } from './di/container.js';
import * as T from './di/tokens.js';
import { createHttpApp, ServerGuard } from './http/index.js';
import { auditApi } from './api/audit.js';
import { canaryApi } from './api/canaries.js';
import { databaseApi } from './api/database.js';
import { jobApi } from './api/jobs.js';
import { pluginDataApi } from './api/plugin-data.js';
import { nodeApi } from './api/nodes.js';
import { marketplaceApi } from './api/marketplace.js';
import { identityApi } from './api/identity.js';
import { limitApi } from './api/limits.js';
import { secretApi } from './api/secrets.js';
import { pluginPermissionApi } from './api/plugin-permissions.js';
import { pluginApi } from './api/plugins.js';
import { rehearsalApi } from './api/rehearsals.js';
import { installPlugins, type InstallProblem } from './plugins/install.js';
import type { PluginInfo } from './plugins/types.js';
import { WsGateway } from './ws/index.js';
import { KERNEL_VERSION } from './version.js';

export interface KernelOptions {
  config: Config;
  /** Folder of the first-party plugins; none are loaded without it. */
  pluginsDir?: string;
  /** Replaces parts before anything is made of them. */
  override?: (container: DependencyContainer) => void;
  fakes?: Fakes;
}

export interface BootReport {
  url: string;
  rootKey: RootKey;
  plugins: PluginInfo[];
  problems: InstallProblem[];
  /** Durations of the steps, in ms. */
  steps: { name: string; ms: number }[];
}

/** One Atoll: composes the parts, boots them in order, and ends them in the reverse order. It boots whatever any plugin does. */
export class Kernel {
  readonly container: DependencyContainer;
  #server: Server | undefined;
  #guard: ServerGuard | undefined;
  #gateway: WsGateway | undefined;
  #phase: 'starting' | 'ready' | 'stopping' = 'starting';

  constructor(private readonly options: KernelOptions) {
    this.container = composeKernel(options.config, options.fakes);
    options.override?.(this.container);
  }

  async start(): Promise<BootReport> {
    const steps: BootReport['steps'] = [];
    const step = async <R>(name: string, run: () => Promise<R>): Promise<R> => {
      const began = performance.now();
      const result = await run();
      steps.push({ name, ms: Math.round(performance.now() - began) });
      return result;
    };
    // Beside everything else: it takes longer than all the rest up to where it is needed.
    const opened = step('database', () => resolve(this.container, T.DATABASE).open());
    opened.catch(() => {});
    const rootKey = await step('keys', () => this.#loadKeys());
    await step('registry', () => this.#openRegistry());
    const url = await step('http', () => this.#listen());
    await opened;
    await resolve(this.container, T.CLUSTER).join(url);
    await resolve(this.container, T.IDENTITY).start();
    resolve(this.container, T.AUDIT).start();
    await resolve(this.container, T.SECRET_VAULT).start();
    await resolve(this.container, T.RATE_LIMITS).start();
    this.#sweepStorage();
    const problems = await step('plugin folders', () => this.#install());
    const manager = resolve(this.container, T.PLUGIN_MANAGER);
    await step('plugins', () => manager.start());
    await resolve(this.container, T.CLUSTER).started(new Map(problems.map(({ dir, error }) => [dir, error.message])));
    await resolve(this.container, T.FOLLOWER).start();
    this.#phase = 'ready';
    return { url, rootKey, plugins: manager.list(), problems, steps };
  }

  /** Stops accepting, finishes what is in flight, then stops plugins and cells. */
  async stop(): Promise<void> {
    this.#phase = 'stopping';
    await this.#gateway?.close();
    await this.#guard?.close();
    if (this.container.isRegistered(T.PACKAGE_STORE)) await resolve(this.container, T.FOLLOWER).close();
    await resolve(this.container, T.CLUSTER).leave();
    await resolve(this.container, T.PLUGIN_MANAGER).close();
    await resolve(this.container, T.JOBS).close();
    await resolve(this.container, T.SUPERVISOR).close();
    await resolve(this.container, T.EVENT_BUS).close();
    await resolve(this.container, T.PLUGIN_FETCH).close();
    resolve(this.container, T.CACHE).close();
    if (this.container.isRegistered(T.MASTER_KEY)) {
      await resolve(this.container, T.RATE_LIMITS).close();
      await resolve(this.container, T.SECRET_VAULT).close();
      await resolve(this.container, T.IDENTITY).close();
      await resolve(this.container, T.AUDIT).close();
    }
    resolve(this.container, T.REDIS)?.disconnect();
    await resolve(this.container, T.DATABASE).close();
    if (this.container.isRegistered(T.PACKAGE_STORE)) resolve(this.container, T.PACKAGE_STORE).close();
  }

  async #openRegistry(): Promise<void> {
    const { server, marketplace } = this.options.config;
    const folder = path.resolve(server.dataDir, 'registry');
    const store = await PackageStore.open({ folder, signatures: marketplace.signatures });
    const log = resolve(this.container, T.LOGGER);
    for (const problem of [...store.report.damagedCopies, ...store.report.problems])
      log.warn({ problem }, 'the registry was damaged');
    register(this.container, T.PACKAGE_STORE, store);
  }

  async #loadKeys(): Promise<RootKey> {
    const { server, auth } = this.options.config;
    const rootKey = await loadRootKey(path.resolve(server.dataDir), auth.adminKey);
    register(this.container, T.ROOT_KEY, new RootKeyAuthenticator(rootKey.key));
    register(this.container, T.MASTER_KEY, await loadMasterKey(path.resolve(server.dataDir), auth));
    return rootKey;
  }

  /** Nobody waits for it. */
  #sweepStorage(): void {
    const log = resolve(this.container, T.LOGGER);
    resolve(this.container, T.STORAGE)
      .sweep()
      .catch((error) => log.warn({ err: error }, 'interrupted uploads could not be removed'));
  }

  async #install(): Promise<InstallProblem[]> {
    return installPlugins({
      manager: resolve(this.container, T.PLUGIN_MANAGER),
      firstParty: this.options.pluginsDir,
      thirdParty: this.options.config.plugins.path,
      fromRegistry: await resolve(this.container, T.INSTALLER).restore(),
    });
  }

  async #listen(): Promise<string> {
    const { config } = this.options;
    const cluster = resolve(this.container, T.CLUSTER);
    const [host, log, authenticator] = [
      resolve(this.container, T.PLUGIN_MANAGER),
      resolve(this.container, T.LOGGER),
      resolve(this.container, T.IDENTITY).credentials,
    ];
    const app = createHttpApp({
      config,
      host,
      log,
      authenticator,
      routes: resolve(this.container, T.ROUTE_TABLE),
      metrics: resolve(this.container, T.METRICS),
      audit: resolve(this.container, T.AUDIT),
      limits: resolve(this.container, T.RATE_LIMITS),
      kernelRoutes: [
        ...pluginApi(host, cluster),
        ...pluginPermissionApi(host.permissions),
        ...canaryApi(host.canaries),
        ...rehearsalApi(host.rehearsals),
        ...nodeApi(cluster),
        ...marketplaceApi({
          host,
          store: resolve(this.container, T.PACKAGE_STORE),
          installer: () => resolve(this.container, T.INSTALLER),
          follower: () => resolve(this.container, T.FOLLOWER),
          changes: (work, removed) => cluster.changePackages(work, removed),
        }),
        ...identityApi(resolve(this.container, T.IDENTITY), config.server.publicUrl?.replace(/\/$/, '')),
        ...limitApi(resolve(this.container, T.RATE_LIMITS)),
        ...auditApi(resolve(this.container, T.AUDIT), resolve(this.container, T.IDENTITY)),
        ...pluginDataApi(resolve(this.container, T.STORAGE), host, [
          (id) => resolve(this.container, T.CACHE).purge(id),
          (id) => resolve(this.container, T.SECRET_VAULT).revokeAll(id),
        ]),
        ...secretApi(resolve(this.container, T.SECRET_VAULT)),
        ...jobApi(resolve(this.container, T.JOBS), resolve(this.container, T.IDENTITY)),
        ...databaseApi(resolve(this.container, T.DATABASE), path.resolve(config.server.dataDir)),
      ],
      version: KERNEL_VERSION,
      starting: () => this.#phase === 'starting',
      readiness: () => {
        const { unfit, degraded } = cluster.health;
        const database = resolve(this.container, T.DATABASE).reachable;
        return {
          checks: { plugins: this.#phase === 'ready', database, node: unfit === undefined },
          reasons: { ...degraded, ...(unfit !== undefined && { node: unfit }) },
        };
      },
    });
    this.#gateway = new WsGateway(app, {
      config,
      authenticator,
      host,
      log,
      events: resolve(this.container, T.EVENT_BUS),
      denials: resolve(this.container, T.AUDIT),
      limits: resolve(this.container, T.RATE_LIMITS),
    });
    const { app: served } = this.#gateway;
    const server = served.listen(config.server.port, config.server.host) as Server;
    // It passes the server's errors on, and without a listener that ends the process before anyone can say why.
    served.ws.server?.on('error', () => {});
    this.#server = server;
    this.#guard = new ServerGuard(server, config.server);
    await listening(server, config.server);
    const { address, port, family } = server.address() as AddressInfo;
    return `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
  }

  get server(): Server | undefined {
    return this.#server;
  }
}

function listening(server: Server, { host, port }: Config['server']): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('listening', () => resolve());
    server.once('error', (error: NodeJS.ErrnoException) => {
      const taken = error.code === 'EADDRINUSE';
      reject(
        taken
          ? new AtollError('ADDRESS_IN_USE', `${host}:${port} is taken.`)
          : new AtollError('CONFIG_INVALID', `Can't listen on ${host}:${port}: ${error.message}`),
      );
    });
  });
}
