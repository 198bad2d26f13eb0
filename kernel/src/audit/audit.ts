import type { ErrorCode } from '@atoll/plugin-sdk/contract';
import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';
import type { Logger } from '../telemetry/logger.js';
import { Denials } from './denials.js';
import type { Deed, Origin } from './entry.js';
import { auditLines, auditPage } from './reader.js';
import { keepFor } from './retention.js';
import { AuditTrail } from './trail.js';
import { type AuditReport, verifyTrail } from './verify.js';

/** Where refused calls are told to. */
export interface DenialSink {
  denied(origin: Origin, deed: Deed, code: ErrorCode): void;
}

export interface AuditDeps {
  database: Database;
  master: MasterKey;
  retentionDays: number;
  log: Logger;
}

/** The audit trail of the installation. */
export class Audit implements DenialSink {
  readonly trail: AuditTrail;
  readonly #denials: Denials;
  #endRetention: (() => void) | undefined;

  constructor(private readonly deps: AuditDeps) {
    this.trail = new AuditTrail(deps.database, deps.master);
    this.#denials = new Denials(this.trail, (error) =>
      deps.log.error({ err: error }, 'a refused call is not recorded'),
    );
  }

  /** Begins to forget what is too old; the database has to be open. */
  start(): void {
    const { retentionDays, log } = this.deps;
    this.#endRetention = keepFor(this.trail, retentionDays, (error) => log.warn({ err: error }, 'audit retention'));
  }

  denied(origin: Origin, deed: Deed, code: ErrorCode): void {
    this.#denials.add(origin, deed, code);
  }

  /** Resolves when what was refused until now is written. */
  flush(): Promise<void> {
    return this.#denials.flush();
  }

  page(...parameters: Tail<Parameters<typeof auditPage>>): ReturnType<typeof auditPage> {
    return auditPage(this.deps.database, ...parameters);
  }

  lines(...parameters: Tail<Parameters<typeof auditLines>>): AsyncGenerator<string> {
    return auditLines(this.deps.database, ...parameters);
  }

  verify(): Promise<AuditReport> {
    return verifyTrail(this.deps.database, this.trail.keys);
  }

  async close(): Promise<void> {
    this.#endRetention?.();
    await this.flush();
  }
}

type Tail<T extends unknown[]> = T extends [unknown, ...infer Rest] ? Rest : never;
