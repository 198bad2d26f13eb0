import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { AtollError } from '@atoll/plugin-sdk/contract';

/**
 * Keeps a second process off a data directory; the embedded engine itself would let it in. The lock is the operating system's, so it
 * goes with the process however that ends, and a process that merely stands still keeps it. For local file systems only.
 */
export class DataDirLock {
  private constructor(private readonly holder: DatabaseSync) {}

  /** Throws DATABASE_LOCKED when another process has it. */
  static acquire(file: string): DataDirLock {
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
    const holder = new DatabaseSync(file);
    try {
      holder.exec('pragma locking_mode = exclusive; begin exclusive');
      return new DataDirLock(holder);
    } catch (error) {
      holder.close();
      throw new AtollError('DATABASE_LOCKED', `Another process uses ${path.dirname(file)}.`, {}, { cause: error });
    }
  }

  release(): void {
    if (this.holder.isOpen) this.holder.close();
  }
}
