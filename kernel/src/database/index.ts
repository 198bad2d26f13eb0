export { Database, type DatabaseOptions, type TransactionOptions } from './database.js';
export type { EntityManager } from './entity-manager.js';
export { LeaseClock } from './lease-clock.js';
export { DatabaseListener } from './listener.js';
export { isUnavailable, sqlState, toDatabaseError } from './errors.js';
export { withoutLiterals } from './literals.js';
export type { MigrationStatus } from './migrate.js';
export { afterCommit, assertOutsideTransaction, outsideTransaction } from './transaction-scope.js';
