import { watch } from 'node:fs';
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { PACKAGE_LIMITS } from '../package/limits.js';
import type { Admitted } from '../store/admission.js';
import type { Origin } from '../store/index-document.js';
import type { PackageStore } from '../store/package-store.js';

export interface FolderProblem {
  file: string;
  error: AtollError;
}

export interface WatchedFolderOptions {
  store: PackageStore;
  /** Made when it is missing. */
  folder: string;
  /** `local` for a folder that only the operator of this machine can write to. */
  origin?: Origin;
  onPublished?: (admitted: Admitted, file: string) => void;
  onProblem?: (problem: FolderProblem) => void;
}

/** A file that changed this short a time ago may still be being copied, in ms. */
const SETTLE_MS = 200;
/** How often to look at folders whose file system tells of no changes, in ms. */
const POLL_MS = 10_000;

/** A folder whose tarballs are published into the store: those that are there, and those that are dropped in later. */
export class WatchedFolder {
  readonly #options: WatchedFolderOptions;
  readonly #folder: string;
  /** File → size and time that it had when it was dealt with. */
  readonly #seen = new Map<string, string>();
  readonly #problems = new Map<string, AtollError>();
  #running: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #stop = () => {};
  #stopped = false;

  private constructor(options: WatchedFolderOptions) {
    this.#options = options;
    this.#folder = path.resolve(options.folder);
  }

  /** Resolves when what is there has been taken in. */
  static async start(options: WatchedFolderOptions): Promise<WatchedFolder> {
    const watched = new WatchedFolder(options);
    await mkdir(watched.#folder, { recursive: true });
    watched.#watch();
    await watched.scan();
    return watched;
  }

  /** Files that could not be published, and why. */
  problems(): FolderProblem[] {
    return [...this.#problems].map(([file, error]) => ({ file, error })).sort((a, b) => (a.file < b.file ? -1 : 1));
  }

  /** Looks for new and changed files now. */
  scan(): Promise<void> {
    this.#running = this.#running.then(() => this.#scan());
    return this.#running;
  }

  async close(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#stop();
    await this.#running;
  }

  #watch(): void {
    const watcher = watch(this.#folder, () => this.#soon(SETTLE_MS));
    // Who watches a folder that goes away is told once; looking at intervals goes on.
    watcher.on('error', () => watcher.close());
    const interval = setInterval(() => void this.scan(), POLL_MS);
    interval.unref();
    this.#stop = () => {
      watcher.close();
      clearInterval(interval);
    };
  }

  #soon(ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.scan(), ms);
  }

  async #scan(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    const files = names.filter((name) => name.endsWith('.tgz') && !name.startsWith('.')).sort();
    for (const name of [...this.#seen.keys(), ...this.#problems.keys()]) {
      if (files.includes(name)) continue;
      this.#seen.delete(name);
      this.#problems.delete(name);
    }
    for (const name of files) if (!this.#stopped) await this.#take(name);
  }

  async #take(name: string): Promise<void> {
    const info = await stat(path.join(this.#folder, name)).catch(() => undefined);
    if (!info?.isFile()) return;
    const stamp = `${info.size}.${info.mtimeMs}.${info.ino}`;
    if (this.#seen.get(name) === stamp) return;
    // A clock that was set back would make a file seem to come from the future for ever.
    const age = Date.now() - info.mtimeMs;
    if (age >= 0 && age < SETTLE_MS) return this.#soon(SETTLE_MS);
    this.#seen.set(name, stamp);
    try {
      const admitted = await this.#publish(name, info.size);
      this.#problems.delete(name);
      this.#options.onPublished?.(admitted, name);
    } catch (error) {
      const problem =
        error instanceof AtollError ? error : new AtollError('PACKAGE_DAMAGED', `${name}: ${String(error)}`);
      // Somebody else changes the store: that is not the file's fault.
      if (problem.code === 'STORE_BUSY') this.#seen.delete(name);
      this.#problems.set(name, problem);
      this.#options.onProblem?.({ file: name, error: problem });
    }
  }

  async #publish(name: string, size: number): Promise<Admitted> {
    if (size > PACKAGE_LIMITS.tarballBytes) {
      throw new AtollError(
        'PACKAGE_TOO_LARGE',
        `${name} has ${size} bytes; at most ${PACKAGE_LIMITS.tarballBytes} are allowed.`,
      );
    }
    const { store, origin = 'third-party' } = this.#options;
    const tarball = await readFile(path.join(this.#folder, name));
    // Files come in any order, so older versions may come after newer ones.
    return store.publish(tarball, { origin, backport: true, source: `folder:${path.basename(this.#folder)}` });
  }
}
