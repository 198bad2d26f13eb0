import { copyFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const PRELOAD = fileURLToPath(new URL('./moved-clock.cjs', import.meta.url));

/** A system clock of some processes that can be set while they run. */
export class MovedClock {
  readonly #folder = mkdtempSync(path.join(tmpdir(), 'atoll-clock-'));

  constructor() {
    this.set(0);
    copyFileSync(PRELOAD, path.join(this.#folder, 'clock.cjs'));
  }

  /** What a process has to be started with. */
  get env(): Record<string, string> {
    return { NODE_OPTIONS: `--require ${path.join(this.#folder, 'clock.cjs')}` };
  }

  /** From now on it is off by so many ms. */
  set(ms: number): void {
    const next = path.join(this.#folder, 'next');
    writeFileSync(next, String(ms));
    renameSync(next, path.join(this.#folder, 'step'));
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
