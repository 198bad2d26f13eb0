export { Cluster, type ClusterHealth } from './cluster.js';
export type { NodeView } from './node-registry.js';
export { RedisTransport } from './redis-transport.js';
