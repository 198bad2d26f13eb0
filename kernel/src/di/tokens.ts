import type { PackageStore } from '@atoll/registry';
import type { Redis } from 'ioredis';
import type { InjectionToken } from 'tsyringe';
import type { Audit } from '../audit/index.js';
import type { MasterKey, RootKeyAuthenticator } from '../auth/index.js';
import type { Cluster, RedisTransport } from '../cluster/index.js';
import type { CacheService } from '../cache/index.js';
import type { Config } from '../config/index.js';
import type { Database } from '../database/index.js';
import type { EventBus } from '../events/index.js';
import type { Identity } from '../identity/index.js';
import type { RateLimits } from '../limits/index.js';
import type { RouteTable } from '../http/route-table.js';
import type { Follower } from '../marketplace/follower.js';
import type { Installer } from '../marketplace/installer.js';
import type { JobService } from '../jobs/index.js';
import type { PluginFetch, SecretSource } from '../net/index.js';
import type { PluginInstance } from '../plugins/instance.js';
import type { PluginManager } from '../plugins/manager.js';
import type { PermissionDesk } from '../plugins/permissions/permission-desk.js';
import type { ServiceRegistry } from '../plugins/service-registry.js';
import type { DesiredStateStore } from '../plugins/state-store.js';
import type { SecretVault } from '../secrets/index.js';
import type { StorageService } from '../storage/index.js';
import type { Supervisor } from '../sandbox/host/supervisor.js';
import type { SyscallTable } from '../syscalls/table.js';
import type { Logger } from '../telemetry/logger.js';
import type { Metrics } from '../telemetry/metrics.js';

/** A typed injection token. Nothing is found by class or by bare string. */
export type Token<T> = InjectionToken<T> & { readonly __type?: T };

/** A new token; the name is for messages. */
export function token<T>(name: string): Token<T> {
  return Symbol(`atoll.${name}`) as Token<T>;
}

export const CONFIG = token<Config>('config');
export const LOGGER = token<Logger>('logger');
export const METRICS = token<Metrics>('metrics');
export const DATABASE = token<Database>('database');
export const STORAGE = token<StorageService>('storage');
export const CACHE = token<CacheService>('cache');
export const JOBS = token<JobService>('jobs');
export const EVENT_BUS = token<EventBus>('event bus');
export const ROOT_KEY = token<RootKeyAuthenticator>('root key');
export const MASTER_KEY = token<MasterKey>('master key');
export const AUDIT = token<Audit>('audit');
export const REDIS = token<Redis | undefined>('redis');
export const EVENT_TRANSPORT = token<RedisTransport | undefined>('event transport');
export const CLUSTER = token<Cluster>('nodes');
export const RATE_LIMITS = token<RateLimits>('rate limits');
export const IDENTITY = token<Identity>('identity');
export const SECRETS = token<SecretSource>('secrets');
export const SECRET_VAULT = token<SecretVault>('secret vault');
export const PLUGIN_FETCH = token<PluginFetch>('plugin fetch');
export const ROUTE_TABLE = token<RouteTable>('route table');
export const SERVICE_REGISTRY = token<ServiceRegistry>('service registry');
export const SYSCALLS = token<SyscallTable<PluginInstance>>('syscalls');
export const SUPERVISOR = token<Supervisor>('supervisor');
export const PERMISSION_DESK = token<PermissionDesk>('permission desk');
export const STATE_STORE = token<DesiredStateStore>('desired states');
export const PLUGIN_MANAGER = token<PluginManager>('plugin manager');
export const PACKAGE_STORE = token<PackageStore>('package store');
export const INSTALLER = token<Installer>('installer');
export const FOLLOWER = token<Follower>('follower');
