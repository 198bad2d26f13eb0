import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PluginFolder } from '@atoll/registry';
import type { Config } from '../config/index.js';
import { assertNoCanary } from './canary/canaries.js';
import { CrashPolicy } from './crash-policy.js';
import { LogRing } from './log-ring.js';
import { mountClash } from './mount-clash.js';
import { manifestOf, type PluginRecord } from './record.js';
import type { Reconciler, Swapped } from './reconciler.js';
import type { DesiredState, DesiredStateStore } from './state-store.js';
import type { PluginLogLine, SwapOptions } from './types.js';
import { Turns } from '../turns.js';

/** One step of a change: the plugin in this folder from now on, or none. */
export interface PluginChange {
  id: string;
  folder?: PluginFolder;
}

export interface PluginSetDeps {
  config: Config;
  store: DesiredStateStore;
  onLog: (plugin: string, line: PluginLogLine) => void;
}

/** What has been done of a change. */
interface Done {
  undo: (() => Promise<unknown>)[];
  swapped: Swapped[];
}

/** Which plugins there are: puts them in at the start, and changes the set as a transaction. */
export class PluginSet {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly deps: PluginSetDeps,
  ) {}

  /** At the start: nothing runs yet. Clashing ones are refused and returned as problems. */
  async install(
    folders: { folder: PluginFolder; origin: PluginRecord['origin'] }[],
  ): Promise<{ dir: string; error: AtollError }[]> {
    const stored = await this.deps.store.load();
    const problems: { dir: string; error: AtollError }[] = [];
    for (const { folder, origin } of folders) {
      const error = this.#clash(folder);
      if (error) problems.push({ dir: folder.dir, error });
      else this.#add(folder, origin, stored.get(folder.manifest.id));
    }
    return problems;
  }

  /**
   * Installs, exchanges and removes plugins, in this order: all of it, or nothing. `commit` makes it durable; when it rejects, all is undone.
   * Rejects with the AtollError of the first step that failed.
   */
  async change(
    changes: readonly PluginChange[],
    commit: () => Promise<void>,
    options: SwapOptions = {},
  ): Promise<void> {
    await this.reconciler.exclusive(async () => {
      const done: Done = { undo: [], swapped: [] };
      try {
        for (const change of changes) await this.#apply(change, options, done);
        await this.reconciler.keep(done.swapped, commit);
      } catch (error) {
        for (const step of done.undo.reverse()) await step().catch((failure: unknown) => this.#couldNotUndo(failure));
        throw error;
      } finally {
        await this.reconciler.reconcile();
      }
    });
  }

  /** One change that others have made already; when it fails, all is as before. Only within `exclusive`. */
  async applyAlone(change: PluginChange, options: SwapOptions): Promise<void> {
    const done: Done = { undo: [], swapped: [] };
    try {
      await this.#apply(change, options, done);
      this.reconciler.tellSwapped(done.swapped);
    } catch (error) {
      for (const step of done.undo.reverse()) await step().catch((failure: unknown) => this.#couldNotUndo(failure));
      throw error;
    }
  }

  async #apply({ id, folder }: PluginChange, options: SwapOptions, { undo, swapped }: Done): Promise<void> {
    const record = this.reconciler.records.get(id);
    if (record) assertNoCanary(record);
    if (!folder) return record && this.#takeAway(record, undo);
    if (!record) return this.#bringIn(folder, undo);
    const before = record.folder;
    if (record.instance) {
      swapped.push(await this.reconciler.swap(record, folder, options));
      undo.push(() => this.reconciler.swap(record, before));
      return;
    }
    record.folder = folder;
    undo.push(async () => {
      record.folder = before;
    });
    await this.#startChanged(record);
  }

  async #bringIn(folder: PluginFolder, undo: Done['undo']): Promise<void> {
    const clash = this.#clash(folder);
    if (clash) throw clash;
    const { id } = folder.manifest;
    const record = this.#add(folder, 'third-party', (await this.deps.store.load()).get(id));
    undo.push(async () => {
      await this.reconciler.stop(record, 'stopped');
      this.reconciler.records.delete(id);
    });
    await this.#startChanged(record);
  }

  async #takeAway(record: PluginRecord, undo: Done['undo']): Promise<void> {
    const { records } = this.reconciler;
    const { id } = manifestOf(record);
    undo.push(async () => {
      records.set(id, record);
      if (record.desired === 'enabled') this.reconciler.set(record, 'installed');
    });
    await this.reconciler.stop(record, 'stopped', 'It is removed.');
    records.delete(id);
  }

  /** A version that does not start is no good, whatever ran before. */
  async #startChanged(record: PluginRecord): Promise<void> {
    record.crashes.forgive();
    if (record.state === 'failed' || record.state === 'quarantined') this.reconciler.set(record, 'installed');
    await this.reconciler.reconcile();
    if (record.state === 'failed') throw new AtollError('PLUGIN_START_FAILED', record.reason);
  }

  #add(folder: PluginFolder, origin: PluginRecord['origin'], stored: DesiredState | undefined): PluginRecord {
    const { sandbox, log, plugins } = this.deps.config;
    const { id } = folder.manifest;
    const record: PluginRecord = {
      folder,
      origin,
      desired: stored?.desired ?? (plugins.disabled.includes(id) ? 'disabled' : 'enabled'),
      state: 'installed',
      ...(stored?.config && { storedConfig: stored.config }),
      ...(stored?.generation !== undefined && { generation: stored.generation }),
      crashes: new CrashPolicy(sandbox),
      logs: new LogRing(log.pluginLines),
      restarts: 0,
      following: {},
      retiring: new Set(),
      exchanges: new Turns(),
      solo: false,
    };
    this.reconciler.records.set(id, record);
    return record;
  }

  #clash(folder: PluginFolder): AtollError | undefined {
    const { records } = this.reconciler;
    const { id } = folder.manifest;
    const same = records.get(id);
    if (same) return new AtollError('PLUGIN_CLASH', `The id "${id}" is already taken by ${same.folder.dir}.`);
    return mountClash(folder, records.values());
  }

  #couldNotUndo(error: unknown): void {
    const message = `a change was not undone: ${error instanceof Error ? error.message : String(error)}`;
    this.deps.onLog('kernel', { time: new Date().toISOString(), level: 'error', message });
  }
}
