export { Audit, type AuditDeps, type DenialSink } from './audit.js';
export type { AuditEntry, Deed, Origin } from './entry.js';
export { AuditTrail } from './trail.js';
