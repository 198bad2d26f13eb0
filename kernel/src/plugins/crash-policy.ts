export interface CrashPolicyOptions {
  /** Crashes within the window after which a plugin is quarantined. */
  maxCrashes: number;
  crashWindowMs: number;
  /** First restart delay; doubles with each crash in the window. */
  backoffMs: number;
  backoffMaxMs: number;
}

export type CrashVerdict = { restartInMs: number } | 'quarantine';

/** Decides what happens after a crash of one plugin. */
export class CrashPolicy {
  #crashes: number[] = [];

  constructor(
    private readonly options: CrashPolicyOptions,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Counts a crash. */
  crashed(): CrashVerdict {
    const { crashWindowMs, maxCrashes, backoffMs, backoffMaxMs } = this.options;
    const now = this.now();
    this.#crashes = [...this.#crashes.filter((at) => now - at < crashWindowMs), now];
    if (this.#crashes.length >= maxCrashes) return 'quarantine';
    return { restartInMs: Math.min(backoffMs * 2 ** (this.#crashes.length - 1), backoffMaxMs) };
  }

  /** Crashes within the window. */
  get recent(): number {
    return this.#crashes.length;
  }

  /** The operator enabled it again: it starts with a clean record. */
  forgive(): void {
    this.#crashes = [];
  }
}
