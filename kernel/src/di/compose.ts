import path from 'node:path';
import type { PluginManifest } from '@atoll/registry';
import { Type } from 'typebox';
import type { Redis } from 'ioredis';
import type { DependencyContainer } from 'tsyringe';
import { Audit } from '../audit/index.js';
import { Cluster, RedisTransport } from '../cluster/index.js';
import type { Config } from '../config/index.js';
import { Database } from '../database/index.js';
import { EventBus } from '../events/index.js';
import { declaredPermissions, Identity } from '../identity/index.js';
import { RateLimits } from '../limits/index.js';
import { connectRedis } from '../redis/connect.js';
import { RouteTable } from '../http/route-table.js';
import { InstallationStore } from '../marketplace/installation-store.js';
import { Installer } from '../marketplace/installer.js';
import { JobService } from '../jobs/index.js';
import { ConfigSecretSource, type Grant, PluginFetch } from '../net/index.js';
import { PluginInstance } from '../plugins/instance.js';
import { type Changes, type Fakes, PluginManager } from '../plugins/manager.js';
import { ServiceRegistry } from '../plugins/service-registry.js';
import { DatabaseStateStore } from '../plugins/state-store.js';
import { Supervisor } from '../sandbox/host/supervisor.js';
import { StorageService } from '../storage/index.js';
import { createRows } from '../syscalls/rows.js';
import { SyscallTable } from '../syscalls/table.js';
import { createLogger } from '../telemetry/logger.js';
import { Metrics } from '../telemetry/metrics.js';
import { createContainer, register, registerLazy, resolve } from './container.js';
import { createPluginScope } from './plugin-scope.js';
import * as T from './tokens.js';

/** The composition root: which implementation stands behind which token. Read it top to bottom to see what the kernel is. */
export function composeKernel(config: Config, fakes?: Fakes): DependencyContainer {
  const container = createContainer();
  const dataDir = path.resolve(config.server.dataDir);
  register(container, T.CONFIG, config);
  registerLazy(container, T.LOGGER, () => createLogger(config.log));
  registerLazy(container, T.METRICS, () => new Metrics());
  registerLazy(container, T.DATABASE, (c) => createDatabase(c, path.join(dataDir, 'database')));
  registerLazy(
    container,
    T.STORAGE,
    (c) => new StorageService(resolve(c, T.DATABASE), config.storage, resolve(c, T.LOGGER)),
  );
  registerLazy(container, T.AUDIT, createAudit);
  registerLazy(container, T.IDENTITY, createIdentity);
  registerLazy(container, T.REDIS, createRedis);
  registerLazy(container, T.RATE_LIMITS, createRateLimits);
  registerLazy(container, T.EVENT_TRANSPORT, createEventTransport);
  registerLazy(container, T.EVENT_BUS, createEventBus);
  registerLazy(container, T.CLUSTER, createCluster);
  registerLazy(
    container,
    T.JOBS,
    (c) => new JobService(resolve(c, T.DATABASE), resolve(c, T.EVENT_BUS), config.jobs, resolve(c, T.LOGGER)),
  );
  registerLazy(container, T.SECRETS, () => new ConfigSecretSource(config.secrets));
  registerLazy(
    container,
    T.PLUGIN_FETCH,
    (c) => new PluginFetch({ limits: config.net, secrets: resolve(c, T.SECRETS) }),
  );
  registerLazy(container, T.ROUTE_TABLE, () => new RouteTable());
  registerLazy(container, T.STATE_STORE, (c) => new DatabaseStateStore(resolve(c, T.DATABASE), advanceOf(c)));
  registerLazy(
    container,
    T.SERVICE_REGISTRY,
    (c) => new ServiceRegistry((service) => void resolve(c, T.EVENT_BUS).emit('service.changed', { service })),
  );
  registerLazy(container, T.SYSCALLS, createSyscalls);
  registerLazy(container, T.SUPERVISOR, createSupervisor);
  registerLazy(container, T.PLUGIN_MANAGER, (c) => createManager(c, path.join(dataDir, 'cache/bundles'), fakes));
  registerLazy(
    container,
    T.INSTALLER,
    (c) =>
      new Installer({
        store: resolve(c, T.PACKAGE_STORE),
        installations: new InstallationStore(resolve(c, T.DATABASE), advanceOf(c)),
        manager: resolve(c, T.PLUGIN_MANAGER),
        changes: changesOf(c),
      }),
  );
  return container;
}

function createDatabase(c: DependencyContainer, dataDir: string): Database {
  const log = resolve(c, T.LOGGER);
  return new Database({
    config: resolve(c, T.CONFIG).database,
    dataDir,
    log,
    metrics: resolve(c, T.METRICS),
    onFatal: (error) => {
      // Only a new process can help: whatever supervises this one starts it.
      log.fatal({ err: error }, 'the database is gone');
      process.kill(process.pid, 'SIGTERM');
    },
  });
}

function createAudit(c: DependencyContainer): Audit {
  return new Audit({
    database: resolve(c, T.DATABASE),
    master: resolve(c, T.MASTER_KEY),
    retentionDays: resolve(c, T.CONFIG).audit.retentionDays,
    log: resolve(c, T.LOGGER),
  });
}

function createIdentity(c: DependencyContainer): Identity {
  const identity: Identity = new Identity({
    database: resolve(c, T.DATABASE),
    config: resolve(c, T.CONFIG).auth,
    master: resolve(c, T.MASTER_KEY),
    root: resolve(c, T.ROOT_KEY),
    trail: resolve(c, T.AUDIT).trail,
    declared: () => declaredPermissions(resolve(c, T.PLUGIN_MANAGER).manifests()),
    log: resolve(c, T.LOGGER),
  });
  // What roles amount to depends on what plugins declare.
  resolve(c, T.EVENT_BUS).subscribe('plugin.state.changed', () => identity.changes.forgetAll());
  return identity;
}

function createRedis(c: DependencyContainer): Redis | undefined {
  const { url } = resolve(c, T.CONFIG).redis;
  return url === undefined ? undefined : connectRedis(url, resolve(c, T.LOGGER));
}

/** The embedded database has no other nodes that anything could be told. */
function createEventTransport(c: DependencyContainer): RedisTransport | undefined {
  const [redis, { url }] = [resolve(c, T.REDIS), resolve(c, T.CONFIG).redis];
  if (!redis || url === undefined || resolve(c, T.DATABASE).engine === 'embedded') return undefined;
  return new RedisTransport({ url, redis, database: resolve(c, T.DATABASE), log: resolve(c, T.LOGGER) });
}

function createCluster(c: DependencyContainer): Cluster {
  return new Cluster({
    config: resolve(c, T.CONFIG),
    database: resolve(c, T.DATABASE),
    redis: resolve(c, T.REDIS),
    transport: resolve(c, T.EVENT_TRANSPORT),
    master: () => resolve(c, T.MASTER_KEY),
    store: () => resolve(c, T.PACKAGE_STORE),
    states: () => resolve(c, T.STATE_STORE),
    installer: () => resolve(c, T.INSTALLER),
    manager: () => resolve(c, T.PLUGIN_MANAGER),
    log: resolve(c, T.LOGGER),
  });
}

/** What changes plugins asks the nodes, which are made of what changes plugins. */
const changesOf =
  (c: DependencyContainer): Changes =>
  (work) =>
    resolve(c, T.CLUSTER).change(work);
const advanceOf = (c: DependencyContainer) => () => resolve(c, T.CLUSTER).advance();

function createRateLimits(c: DependencyContainer): RateLimits {
  const log = resolve(c, T.LOGGER);
  return new RateLimits({
    database: resolve(c, T.DATABASE),
    changes: resolve(c, T.IDENTITY).changes,
    configured: resolve(c, T.CONFIG).limits.rules,
    redis: resolve(c, T.REDIS),
    onProblem: (error) => log.warn({ err: error }, 'rate limits could not be read'),
  });
}

function createEventBus(c: DependencyContainer): EventBus {
  const log = resolve(c, T.LOGGER);
  const transport = resolve(c, T.EVENT_TRANSPORT);
  const bus = new EventBus({
    ...resolve(c, T.CONFIG).events,
    ...(transport && { transport }),
    onProblem: (problem, subject, error) => log.warn({ subject, err: error }, problem),
  });
  bus.defineTopic(
    'plugin.state.changed',
    Type.Object({ id: Type.String(), from: Type.String(), to: Type.String(), reason: Type.Optional(Type.String()) }),
  );
  bus.defineTopic(
    'plugin.swapped',
    Type.Object({
      id: Type.String(),
      from: Type.Union([Type.String(), Type.Null()]),
      to: Type.String(),
      ms: Type.Integer({ description: 'From the decision to serving.' }),
    }),
  );
  bus.defineTopic('service.changed', Type.Object({ service: Type.String() }));
  return bus;
}

function createSyscalls(c: DependencyContainer): SyscallTable<PluginInstance> {
  const deps = {
    events: resolve(c, T.EVENT_BUS),
    net: resolve(c, T.PLUGIN_FETCH),
    secrets: resolve(c, T.SECRETS),
    services: resolve(c, T.SERVICE_REGISTRY),
    storage: resolve(c, T.STORAGE),
    jobs: resolve(c, T.JOBS),
  };
  return new SyscallTable(createRows(deps));
}

function createSupervisor(c: DependencyContainer): Supervisor {
  const log = resolve(c, T.LOGGER);
  const supervisor = new Supervisor({
    ...resolve(c, T.CONFIG).sandbox,
    log: (level, message, fields) => log[level](fields ?? {}, message),
  });
  resolve(c, T.METRICS).gauge('cells', 'Sandbox processes, spares included.', () => supervisor.cells.length);
  return supervisor;
}

/** One instance of a plugin, out of a child container: the kernel's parts, where it matters under the plugin's name. */
function composePlugin(kernel: DependencyContainer, manifest: PluginManifest, grants: Grant[]): PluginInstance {
  const scope = createPluginScope(kernel, manifest.id);
  registerLazy(scope.container, T.LOGGER, () => resolve(kernel, T.LOGGER).child({ plugin: manifest.id }));
  return new PluginInstance(manifest, grants, scope, resolve(scope.container, T.LOGGER));
}

function createManager(c: DependencyContainer, cacheDir: string, fakes: Fakes | undefined): PluginManager {
  const log = resolve(c, T.LOGGER);
  const metrics = resolve(c, T.METRICS);
  return new PluginManager({
    config: resolve(c, T.CONFIG),
    events: resolve(c, T.EVENT_BUS),
    routes: resolve(c, T.ROUTE_TABLE),
    supervisor: resolve(c, T.SUPERVISOR),
    syscalls: resolve(c, T.SYSCALLS),
    store: resolve(c, T.STATE_STORE),
    changes: changesOf(c),
    newInstance: (manifest, grants) => composePlugin(c, manifest, grants),
    cacheDir,
    ...(fakes && { fakes }),
    onLog: (plugin, { level, message, fields }) => log[level]({ plugin, ...fields }, message),
    onMetric: (plugin, metric) => metrics.recordPlugin(plugin, metric),
  });
}
