import path from 'node:path';
import type { PluginManifest } from '@atoll/registry';
import type { Redis } from 'ioredis';
import type { DependencyContainer } from 'tsyringe';
import { CacheService, MemoryCacheStore, RedisCacheStore } from '../cache/index.js';
import { Audit, type Deed } from '../audit/index.js';
import { Cluster, RedisTransport } from '../cluster/index.js';
import type { Config } from '../config/index.js';
import { afterCommit, Database } from '../database/index.js';
import { EventBus } from '../events/index.js';
import { declaredPermissions, Identity } from '../identity/index.js';
import { RateLimits } from '../limits/index.js';
import { connectRedis } from '../redis/connect.js';
import { RouteTable } from '../http/route-table.js';
import { Follower } from '../marketplace/follower.js';
import { InstallationStore } from '../marketplace/installation-store.js';
import { Installer } from '../marketplace/installer.js';
import { JobService } from '../jobs/index.js';
import { PluginFetch } from '../net/index.js';
import { CanaryStore } from '../plugins/canary/canary-store.js';
import { PluginInstance } from '../plugins/instance.js';
import { type Changes, type Fakes, PluginManager } from '../plugins/manager.js';
import { PermissionDesk } from '../plugins/permissions/permission-desk.js';
import { PermissionStore } from '../plugins/permissions/permission-store.js';
import type { Permits } from '../plugins/permissions/permits.js';
import { definePluginTopics } from '../plugins/topics.js';
import { ServiceRegistry } from '../plugins/service-registry.js';
import { DatabaseStateStore } from '../plugins/state-store.js';
import { Supervisor } from '../sandbox/host/supervisor.js';
import { SecretVault } from '../secrets/index.js';
import { StorageService } from '../storage/index.js';
import { createRows } from '../syscalls/rows.js';
import { SyscallTable } from '../syscalls/table.js';
import { createLogger } from '../telemetry/logger.js';
import { Metrics } from '../telemetry/metrics.js';
import { findVersion } from '../marketplace/find-version.js';
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
  registerLazy(container, T.CACHE, (c) => createCache(c));
  registerLazy(container, T.EVENT_BUS, createEventBus);
  registerLazy(container, T.CLUSTER, createCluster);
  registerLazy(
    container,
    T.JOBS,
    (c) => new JobService(resolve(c, T.DATABASE), resolve(c, T.EVENT_BUS), config.jobs, resolve(c, T.LOGGER)),
  );
  registerLazy(container, T.SECRET_VAULT, createVault);
  // The vault needs the master key, which is there once the kernel starts.
  registerLazy(container, T.SECRETS, (c) => ({
    get: (name) => resolve(c, T.SECRET_VAULT).get(name),
    fresh: () => resolve(c, T.SECRET_VAULT).fresh(),
  }));
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
  registerLazy(container, T.PERMISSION_DESK, createPermissionDesk);
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
  registerLazy(container, T.FOLLOWER, createFollower);
  return container;
}

function createFollower(c: DependencyContainer): Follower {
  const log = resolve(c, T.LOGGER);
  return new Follower({
    store: resolve(c, T.PACKAGE_STORE),
    installations: new InstallationStore(resolve(c, T.DATABASE), advanceOf(c)),
    installer: resolve(c, T.INSTALLER),
    manager: resolve(c, T.PLUGIN_MANAGER),
    events: resolve(c, T.EVENT_BUS),
    onDeed: (action, plugin, after) => recordDeed(c, { action, target: `plugin:${plugin}`, after }),
    onProblem: (plugin, error) => log.warn({ plugin, err: error }, 'a followed channel could not be looked at'),
  });
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

function createVault(c: DependencyContainer): SecretVault {
  return new SecretVault({
    database: resolve(c, T.DATABASE),
    changes: resolve(c, T.IDENTITY).changes,
    master: resolve(c, T.MASTER_KEY),
    trail: resolve(c, T.AUDIT).trail,
    configured: resolve(c, T.CONFIG).secrets,
    log: resolve(c, T.LOGGER),
  });
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

/** `now` for the time of entries in memory. */
export function createCache(c: DependencyContainer, now?: () => number): CacheService {
  const { cache: limits } = resolve(c, T.CONFIG);
  const redis = resolve(c, T.REDIS);
  const store = redis ? new RedisCacheStore(redis, limits) : new MemoryCacheStore(limits, now);
  const count = resolve(c, T.METRICS).counter('cache_lookups_total', 'Looks into caches of plugins, by outcome.', [
    'plugin',
    'outcome',
  ]);
  return new CacheService(store, limits, (plugin, outcome) => count({ plugin, outcome }));
}

function createEventBus(c: DependencyContainer): EventBus {
  const log = resolve(c, T.LOGGER);
  const transport = resolve(c, T.EVENT_TRANSPORT);
  const bus = new EventBus({
    ...resolve(c, T.CONFIG).events,
    ...(transport && { transport }),
    transactions: { run: (work) => resolve(c, T.DATABASE).transaction(work), afterCommit },
    onProblem: (problem, subject, error) => log.warn({ subject, err: error }, problem),
  });
  definePluginTopics(bus);
  return bus;
}

function createPermissionDesk(c: DependencyContainer): PermissionDesk {
  const log = resolve(c, T.LOGGER);
  return new PermissionDesk({
    store: new PermissionStore(resolve(c, T.DATABASE)),
    events: resolve(c, T.EVENT_BUS),
    changes: () => resolve(c, T.IDENTITY).changes,
    onRefused: (plugin, { kind, value }, code) =>
      resolve(c, T.AUDIT).denied(
        { principal: { kind: 'plugin', id: plugin, roles: [] }, address: 'sandbox' },
        { action: 'plugins.syscall', target: `plugin:${plugin} ${kind}${value === undefined ? '' : ` ${value}`}` },
        code,
      ),
    onProblem: (error) => log.warn({ err: error }, 'permissions of plugins could not be read or kept'),
  });
}

function createSyscalls(c: DependencyContainer): SyscallTable<PluginInstance> {
  const deps = {
    events: resolve(c, T.EVENT_BUS),
    net: resolve(c, T.PLUGIN_FETCH),
    secrets: resolve(c, T.SECRETS),
    services: resolve(c, T.SERVICE_REGISTRY),
    storage: resolve(c, T.STORAGE),
    jobs: resolve(c, T.JOBS),
    cache: resolve(c, T.CACHE),
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
function composePlugin(kernel: DependencyContainer, manifest: PluginManifest, permits: Permits): PluginInstance {
  const scope = createPluginScope(kernel, manifest.id);
  registerLazy(scope.container, T.LOGGER, () => resolve(kernel, T.LOGGER).child({ plugin: manifest.id }));
  return new PluginInstance(manifest, permits, scope, resolve(scope.container, T.LOGGER));
}

/** What the kernel does by itself, where nobody waits for the entry. */
function recordDeed(c: DependencyContainer, deed: Deed): void {
  const origin = { principal: { kind: 'system' as const, id: 'kernel', roles: [] }, address: 'kernel' };
  const log = resolve(c, T.LOGGER);
  resolve(c, T.AUDIT)
    .trail.write(origin, deed, 'done')
    .catch((error) => log.error({ err: error, action: deed.action }, 'not in the audit trail'));
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
    newInstance: (manifest, permits) => composePlugin(c, manifest, permits),
    permissions: resolve(c, T.PERMISSION_DESK),
    canaries: {
      store: new CanaryStore(resolve(c, T.DATABASE), () => resolve(c, T.CLUSTER).id),
      onDeed: (action, plugin, after) => recordDeed(c, { action, target: `plugin:${plugin}`, after }),
      onProblem: (plugin, message, error) => log.warn({ plugin, err: error }, message),
    },
    versionOf: (id, version) => findVersion(resolve(c, T.PACKAGE_STORE), id, version),
    cacheDir,
    ...(fakes && { fakes }),
    onLog: (plugin, { level, message, fields }) => log[level]({ plugin, ...fields }, message),
    onMetric: (plugin, metric) => metrics.recordPlugin(plugin, metric),
  });
}
