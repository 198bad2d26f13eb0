import type { PackageStore, PluginFolder } from '@atoll/registry';
import type { Installation } from '../marketplace/installation-store.js';
import type { Installer } from '../marketplace/installer.js';
import type { PluginManager } from '../plugins/manager.js';
import type { DesiredStateStore } from '../plugins/state-store.js';
import type { SwapOptions } from '../plugins/types.js';
import type { Logger } from '../telemetry/logger.js';
import type { Generations, Standing } from './generations.js';
import type { PackageSharing } from './package-sharing.js';

export interface ConvergenceDeps {
  generations: Generations;
  sharing: PackageSharing;
  store: PackageStore;
  states: DesiredStateStore;
  /** They are made when the database is open. */
  installer: () => Installer;
  manager: () => PluginManager;
  log: Logger;
}

/** How long what can't be done is left alone, unless something changes. */
const RETRY_MS = 5_000;

/** Brings this node to what the installation should run, and tells what it could not do. */
export class Convergence {
  /** Versions of the registry that this node runs, by plugin. */
  readonly #running = new Map<string, string>();
  #problems = new Map<string, string>();
  #packages = -1;
  #triedAt = 0;
  #forced = false;

  constructor(private readonly deps: ConvergenceDeps) {}

  /** Why this node is not further, by plugin. */
  get problems(): Record<string, string> {
    return Object.fromEntries(this.#problems);
  }

  get complete(): boolean {
    return this.#problems.size === 0;
  }

  /** What was started is what was decided at this standing, as far as it could be; `reasons` says why not, by `id@version`. */
  async started({ generation, packages }: Standing, reasons: ReadonlyMap<string, string>): Promise<void> {
    const problems = new Map<string, string>();
    for (const { id, version } of await this.deps.installer().installed()) {
      if (this.#runs(id, version)) this.#running.set(id, version);
      else problems.set(id, this.#reasonFor(id, version, reasons.get(`${id}@${version}`) ?? 'It was not started.'));
    }
    this.#packages = packages;
    this.#conclude(generation, problems);
  }

  /** A change of this node was not carried through: what it runs may not be what is written. */
  doubt(): void {
    this.#forced = true;
  }

  /** After a change of this node, which is in the database. */
  async noteOwn(): Promise<void> {
    const rows = await this.deps.installer().installed();
    const problems = new Map<string, string>();
    this.#running.clear();
    for (const { id, version } of rows) {
      const problem = this.#problems.get(id);
      if (this.#runs(id, version)) this.#running.set(id, version);
      else problems.set(id, problem ?? 'It was not started.');
    }
    this.#conclude(this.deps.generations.seen, problems);
  }

  /** Takes in what others have changed. Rejects when the database does not answer; anything else becomes a problem. */
  async catchUp(): Promise<void> {
    const { generations } = this.deps;
    const standing = await generations.read();
    if (!this.#isDue(standing)) return;
    this.#triedAt = performance.now();
    if (standing.packages !== this.#packages || this.deps.sharing.incomplete) {
      await this.deps.sharing.pull();
      this.#packages = standing.packages;
    }
    if (standing.generation === generations.seen && !this.#forced && this.complete) return;
    this.#forced = false;
    this.#conclude(standing.generation, await this.#adopt());
  }

  #isDue({ generation, packages }: Standing): boolean {
    if (this.#forced || generation !== this.deps.generations.seen || packages !== this.#packages) return true;
    return (!this.complete || this.deps.sharing.incomplete) && performance.now() - this.#triedAt > RETRY_MS;
  }

  async #adopt(): Promise<Map<string, string>> {
    const { installer, manager, states } = this.deps;
    const wanted = await installer().installed();
    const ids = new Set(wanted.map(({ id }) => id));
    const removed = [...this.#running.keys()].filter((id) => !ids.has(id));
    const { installed, missing } = await this.#fetch(wanted);
    const failed = await manager().adopt({ installed, removed, states: await states.load() });
    for (const { folder } of installed) {
      const { id, version } = folder.manifest;
      if (!failed.has(id)) this.#running.set(id, version);
    }
    for (const id of removed) if (!failed.has(id)) this.#running.delete(id);
    return new Map([...missing, ...failed]);
  }

  /** Everything is unpacked and checked before anything is touched. */
  async #fetch(wanted: readonly Installation[]) {
    const installed: (SwapOptions & { folder: PluginFolder })[] = [];
    const missing = new Map<string, string>();
    for (const { id, version, discardState } of wanted) {
      if (this.#running.get(id) === version) continue;
      try {
        installed.push({ folder: await this.deps.installer().folderOf(id, version), discardState });
      } catch (error) {
        missing.set(id, this.#reasonFor(id, version, error instanceof Error ? error.message : String(error)));
      }
    }
    return { installed, missing };
  }

  #runs(id: string, version: string): boolean {
    return this.deps.manager().get(id)?.version === version;
  }

  /** That the package was refused says more than that it is not there. */
  #reasonFor(id: string, version: string, reason: string): string {
    return this.deps.sharing.problemOf(id, version) ?? reason;
  }

  #conclude(generation: number, problems: Map<string, string>): void {
    const { generations, log } = this.deps;
    for (const [plugin, reason] of problems)
      if (this.#problems.get(plugin) !== reason)
        log.error({ plugin, reason, generation }, 'this node can not run what it should');
    this.#problems = problems;
    generations.seen = generation;
    if (problems.size === 0) generations.acknowledged = generation;
  }
}
