import type { ErrorCode } from '@atoll/plugin-sdk/contract';
import type { Deed, Origin } from './entry.js';
import type { AuditTrail } from './trail.js';

interface Denial {
  origin: Origin;
  deed: Deed;
  code: ErrorCode;
  count: number;
}

const WINDOW_MS = 10_000;
const MAX_KINDS = 1_000;
const OTHERS = 'others';

/**
 * Calls that were refused. The first of a kind (who, what, why) is written at once; those that follow within a few seconds are counted, so
 * that nobody can fill the database by being refused.
 */
export class Denials {
  readonly #counted = new Map<string, Denial>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(
    private readonly trail: AuditTrail,
    private readonly onProblem: (error: unknown) => void,
  ) {}

  add(origin: Origin, { action, target }: Deed, code: ErrorCode): void {
    // Nothing was changed.
    const deed: Deed = { action, ...(target !== undefined && { target }) };
    const { principal, address } = origin;
    const key = JSON.stringify([principal?.kind, principal?.id ?? address, action, target, code]);
    const known = this.#counted.get(key);
    if (known) {
      known.count++;
      return;
    }
    this.#timer ??= setTimeout(() => this.#endWindow(), WINDOW_MS).unref();
    if (this.#counted.size < MAX_KINDS) {
      this.#counted.set(key, { origin, deed, code, count: 0 });
      this.#write({ origin, deed, code, count: 1 });
      return;
    }
    const others = this.#counted.get(OTHERS);
    if (others) others.count++;
    else this.#counted.set(OTHERS, { origin: { address: 'several' }, deed: { action: 'several' }, code, count: 1 });
  }

  /** Resolves when all of it is written. */
  async flush(): Promise<void> {
    this.#endWindow();
    await this.#writing;
  }

  #endWindow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const denial of this.#counted.values()) if (denial.count > 0) this.#write(denial);
    this.#counted.clear();
  }

  /** One after the other: they would only wait for each other in the database. */
  #write({ origin, deed, code, count }: Denial): void {
    // While the database is away nothing is gained by remembering more.
    if (this.#waiting >= MAX_KINDS * 2) return;
    this.#waiting++;
    this.#writing = this.#writing
      .then(() => this.trail.write(origin, deed, 'denied', { code, count }))
      .catch(this.onProblem)
      .finally(() => {
        this.#waiting--;
      });
  }
}
