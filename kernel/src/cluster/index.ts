export { Cluster, type ClusterHealth } from './cluster.js';
export type { NodeView } from './node-registry.js';
export type { PackageName } from './package-sharing.js';
export { RedisTransport } from './redis-transport.js';
