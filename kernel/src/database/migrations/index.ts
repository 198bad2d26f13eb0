import type { Migration } from '@mikro-orm/migrations';
import { PluginStates } from './0001-plugin-states.js';
import { Storage } from './0002-storage.js';
import { PluginInstallations } from './0003-plugin-installations.js';
import { Identity } from './0004-identity.js';
import { AuditTrail } from './0005-audit.js';
import { RateLimitRules } from './0006-rate-limits.js';
import { Secrets } from './0007-secrets.js';
import { Nodes } from './0008-nodes.js';
import { PluginLife } from './0009-plugin-life.js';

export interface NamedMigration {
  /** Never changes: it is how the database knows what it has. */
  name: string;
  migration: new (...args: ConstructorParameters<typeof Migration>) => Migration;
}

/** All migrations, oldest first. A new one is added at the end; one that was released is never changed. */
export const MIGRATIONS: readonly NamedMigration[] = [
  { name: '0001-plugin-states', migration: PluginStates },
  { name: '0002-storage', migration: Storage },
  { name: '0003-plugin-installations', migration: PluginInstallations },
  { name: '0004-identity', migration: Identity },
  { name: '0005-audit', migration: AuditTrail },
  { name: '0006-rate-limits', migration: RateLimitRules },
  { name: '0007-secrets', migration: Secrets },
  { name: '0008-nodes', migration: Nodes },
  { name: '0009-plugin-life', migration: PluginLife },
];
