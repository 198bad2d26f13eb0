import { AtollError } from '@atoll/plugin-sdk/contract';
import { type GraphNode, type PluginFolder, type PluginManifest, planStart } from '@atoll/registry';
import type { Config } from '../config/index.js';
import type { EventBus } from '../events/index.js';
import type { RouteTable } from '../http/route-table.js';
import type { IsolateFate, Supervisor } from '../sandbox/host/supervisor.js';
import type { SyscallTable } from '../syscalls/table.js';
import { effectiveConfig } from './effective-config.js';
import { assertFits } from './fits.js';
import { handOver } from './handoff.js';
import type { PluginInstance } from './instance.js';
import { PluginLauncher } from './launcher.js';
import { mountClash } from './mount-clash.js';
import type { PermissionDesk } from './permissions/permission-desk.js';
import type { Permits } from './permissions/permits.js';
import type { Recordings } from './rehearsal/recordings.js';
import { manifestOf, type PluginRecord, toNode } from './record.js';
import type { PluginLogLine, PluginState, SwapOptions } from './types.js';
import { Turns } from '../turns.js';

export interface ReconcilerDeps {
  config: Config;
  events: EventBus;
  routes: RouteTable;
  supervisor: Supervisor;
  syscalls: SyscallTable<PluginInstance>;
  /** Makes an instance, with a scope of its own. */
  newInstance: (manifest: PluginManifest, permits: Permits) => PluginInstance;
  permissions: PermissionDesk;
  recordings: Recordings;
  /** Where bundles are cached. */
  cacheDir: string;
  onLog: (plugin: string, line: PluginLogLine) => void;
  onMetric: (plugin: string, metric: unknown) => void;
  fakes?: Fakes;
}

interface Exchange extends SwapOptions {
  /** Only this instance is to be replaced; without it, whichever runs. */
  replaces?: PluginInstance;
}

/** What `plugin.swapped` tells. */
export interface Swapped {
  id: string;
  from: string | null;
  to: string;
  ms: number;
}

/** What a test puts in the place of other plugins and of the time. */
export interface Fakes {
  /** Services that count as provided. */
  services: string[];
  /** Start of a manual clock in the guest, epoch ms. */
  clockStart?: number;
}

/** Permissions that the manifest format knows and this kernel has no capability for. */
const ABSENT = ['gpu'] as const;
const PARALLEL_STARTS = 4;

/** Moves each plugin to its desired state: start, stop, swap, restart after a crash. What changes the set of plugins runs in `exclusive`. */
export class Reconciler {
  readonly records = new Map<string, PluginRecord>();
  readonly #launcher: PluginLauncher;
  /** Instances whose cells are given up: others of the same version take over. */
  readonly #moved = new WeakSet<PluginInstance>();
  readonly #turns = new Turns();
  /** What goes on beside the turns. */
  readonly #besides = new Set<Promise<void>>();
  #closing = false;

  constructor(private readonly deps: ReconcilerDeps) {
    this.#launcher = new PluginLauncher({
      ...deps,
      onLog: (record, line) => this.log(record, line),
      ...(deps.fakes?.clockStart !== undefined && { clockStart: deps.fakes.clockStart }),
      onEnd: (record, instance, fate) => this.#onEnd(record, instance, fate),
      onEvict: (record, instance) => this.#onEvict(record, instance),
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    const records = [...this.records.values()];
    for (const record of records) clearTimeout(record.restart);
    await this.#turns.idle();
    await Promise.all(this.#besides);
    await Promise.all(records.map((record) => this.stop(record, 'stopped')));
    await Promise.all(records.flatMap(({ retiring }) => [...retiring].map((one) => one.stop())));
  }

  /** One change of the set of plugins at a time. */
  exclusive<T>(task: () => Promise<T>): Promise<T> {
    return this.#turns.run(task);
  }

  async reconcile(): Promise<void> {
    if (this.#closing) return;
    for (const record of this.records.values()) {
      if (record.desired === 'disabled' && record.state !== 'stopped')
        await this.stop(record, 'stopped', 'It is disabled.');
    }
    // A plugin that fails to start takes away what it would have provided: then the plan is made anew.
    let failed = true;
    while (failed) {
      failed = false;
      const plan = planStart(this.#able(), [...this.records.values()].map(toNode));
      for (const [id, reason] of plan.pending) await this.#hold(this.records.get(id)!, reason);
      for (const layer of plan.order) {
        if (!(await this.#bringUpLayer(layer))) failed = true;
        if (failed) break;
      }
    }
  }

  wanted(): GraphNode[] {
    return [...this.records.values()].filter(({ desired }) => desired === 'enabled').map(manifestOf);
  }

  /** Throws when this version of a running plugin could not run among the others, or they not with it. */
  assertFits({ manifest }: PluginFolder): void {
    const [candidate = manifest] = this.#withFakes([manifest]);
    assertFits(candidate, this.#able(), [...this.records.values()].map(toNode));
  }

  /** What could run: wanted, and not given up. */
  #able(): GraphNode[] {
    const able = (record: PluginRecord) =>
      record.desired === 'enabled' && record.state !== 'failed' && record.state !== 'quarantined';
    return this.#withFakes([...this.records.values()].filter(able).map(manifestOf));
  }

  #withFakes<T extends GraphNode>(nodes: T[]): T[] {
    const { fakes } = this.deps;
    return fakes ? nodes.map((node) => withoutServices(node, fakes.services)) : nodes;
  }

  async #hold(record: PluginRecord, reason: string): Promise<void> {
    await this.stop(record, 'pending', `It ${reason}.`);
  }

  /** A few at a time: more would only fight for the processor and look stuck to the supervisor. False when one failed. */
  async #bringUpLayer(layer: readonly string[]): Promise<boolean> {
    const left = [...layer];
    let fine = true;
    const worker = async () => {
      for (let id = left.shift(); id !== undefined; id = left.shift())
        fine = (await this.#bringUp(this.records.get(id)!)) && fine;
    };
    await Promise.all(Array.from({ length: PARALLEL_STARTS }, worker));
    return fine;
  }

  /** False when it should run and could not be started. */
  async #bringUp(record: PluginRecord): Promise<boolean> {
    if (record.instance || record.restart) return true;
    this.set(record, 'starting');
    try {
      await this.#launchInto(record, record.folder);
      return true;
    } catch (error) {
      this.#tellFailed(record, error as AtollError);
      return false;
    }
  }

  #tellFailed(record: PluginRecord, { code, message }: AtollError): void {
    this.log(record, { time: new Date().toISOString(), level: 'error', message: `start failed: ${message}` });
    this.set(record, 'failed', `${message} (${code})`);
  }

  async #launchInto(record: PluginRecord, folder: PluginFolder): Promise<void> {
    const began = performance.now();
    const instance = await this.#launcher.launch(record, folder, this.effectiveConfig(record, folder));
    await this.exchange(record, folder, instance);
    record.startMs = Math.round(performance.now() - began);
  }

  /**
   * Starts another version beside the running one and puts it in its place. When that fails, the running one has never stopped. Resolves with
   * what is to be told of it, with the change that it belongs to.
   */
  async swap(record: PluginRecord, folder: PluginFolder, options: Exchange = {}): Promise<Swapped> {
    const clash = mountClash(folder, this.records.values(), record);
    if (clash) throw clash;
    const began = performance.now();
    const from = record.instance;
    const candidate = await this.#launcher.launch(record, folder, this.effectiveConfig(record, folder));
    await this.exchange(record, folder, candidate, options);
    record.startMs = Math.round(performance.now() - began);
    return {
      id: candidate.id,
      from: from?.manifest.version ?? null,
      to: candidate.manifest.version,
      ms: record.startMs,
    };
  }

  /** Of swaps that are no part of a change in the database. */
  tellSwapped(swaps: readonly Swapped[]): void {
    for (const swapped of swaps) this.deps.events.emit('plugin.swapped', swapped);
  }

  /** Makes a change last, and tells of the swaps that it consisted of as part of it. */
  keep<T>(swaps: readonly Swapped[], commit: () => Promise<T>): Promise<T> {
    const { events } = this.deps;
    return events.together(async () => {
      const result = await commit();
      for (const swapped of swaps) await events.record('plugin.swapped', swapped);
      return result;
    });
  }

  /** Starts another version and leaves it beside the running one, in a cell of its own: whatever it does, the other goes on. */
  async launchBeside(record: PluginRecord, folder: PluginFolder): Promise<PluginInstance> {
    const clash = mountClash(folder, this.records.values(), record);
    if (clash) throw clash;
    return this.#launcher.launch(record, folder, this.effectiveConfig(record, folder), { alone: true });
  }

  /** Puts a healthy candidate in the place of the running version, if there is one. When that fails, the candidate is gone and all is as it was. */
  exchange(record: PluginRecord, folder: PluginFolder, candidate: PluginInstance, options?: Exchange): Promise<void> {
    // One after the other: a plugin that crashed or is moved is exchanged beside the turns.
    return record.exchanges.run(() => this.#exchange(record, folder, candidate, options));
  }

  async #exchange(
    record: PluginRecord,
    folder: PluginFolder,
    candidate: PluginInstance,
    { discardState = false, replaces }: Exchange = {},
  ): Promise<void> {
    const before = record.instance;
    const resume = before?.pause();
    // It may take calls already.
    const resumeCandidate = candidate.pause();
    try {
      const commitRoutes = this.deps.routes.prepare(folder.manifest.id, candidate.routes);
      if (before && !discardState) await handOver(before, candidate);
      if (record.instance !== before || (replaces && replaces !== before))
        throw new AtollError('CONFLICT', `${candidate.id} has changed meanwhile.`);
      // From here on nothing can fail, and nothing else runs until the candidate is the running one.
      commitRoutes();
      clearTimeout(record.restart);
      delete record.restart;
      record.instance = candidate;
      record.folder = folder;
      record.canary?.rebind(candidate);
      before?.withdraw();
      candidate.activate();
    } catch (error) {
      await candidate.stop();
      throw error;
    } finally {
      resumeCandidate();
      resume?.();
    }
    this.#warnOfAbsentCapabilities(record);
    this.set(record, 'active');
    if (before) void this.retire(record, before);
  }

  /** What is in flight finishes on the old version. */
  async retire(record: PluginRecord, instance: PluginInstance): Promise<void> {
    record.retiring.add(instance);
    await instance.drain(this.deps.config.plugins.drainMs);
    await instance.stop();
    record.retiring.delete(instance);
  }

  async stop(record: PluginRecord, state: PluginState, reason?: string): Promise<void> {
    clearTimeout(record.restart);
    delete record.restart;
    const { instance } = record;
    record.canary?.rollBack(reason ?? 'The plugin stops.');
    if (instance) {
      this.set(record, 'draining');
      this.deps.routes.remove(instance.id);
      instance.withdraw();
      delete record.instance;
      await instance.drain(this.#closing ? 0 : Math.min(instance.manifest.limits.timeoutMs, 5_000));
      await instance.stop();
    }
    this.set(record, state, reason);
  }

  /** It gets another chance, whatever it did before. */
  forgive(record: PluginRecord): void {
    record.crashes.forgive();
    record.solo = false;
    if (record.state === 'failed' || record.state === 'quarantined') this.set(record, 'installed');
  }

  set(record: PluginRecord, state: PluginState, reason?: string): void {
    const from = record.state;
    record.state = state;
    if (reason === undefined) delete record.reason;
    else record.reason = reason;
    if (from === state) return;
    this.deps.events.emit('plugin.state.changed', {
      id: manifestOf(record).id,
      from,
      to: state,
      ...(reason !== undefined && { reason }),
    });
  }

  /** The isolate ended by itself: restart, later or alone when it may be at fault, or give it up. */
  #onEnd(record: PluginRecord, instance: PluginInstance, fate: IsolateFate): void {
    instance.withdraw();
    if (record.canary?.candidate === instance) record.canary.rollBack(`It ended: ${fate.message}`);
    if (record.instance !== instance) return this.#onMovedEnd(record, instance, fate);
    record.canary?.rollBack('The running version ended, so there is nothing to compare with.');
    delete record.instance;
    this.deps.routes.remove(instance.id);
    const verdict = fate.culprit === 'no' ? { restartInMs: 0 } : record.crashes.crashed();
    // Once may be chance; the second time each suspect gets a cell of its own, which finds the culprit.
    if (fate.culprit === 'unknown' && record.crashes.recent > 1) record.solo = true;
    this.log(record, {
      time: new Date().toISOString(),
      level: 'error',
      message: `the isolate ended: ${fate.message}`,
      fields: { why: fate.why },
    });
    if (this.#closing) return;
    if (verdict === 'quarantine') {
      this.set(record, 'quarantined', tooOften(fate));
      void this.exclusive(() => this.reconcile());
      return;
    }
    record.restarts++;
    this.set(record, 'starting', fate.message);
    record.restart = setTimeout(() => this.#beside(this.#recover(record)), verdict.restartInMs);
  }

  /**
   * Starts a plugin again that has crashed. Beside whatever else changes: that may take as long as another plugin's start takes. What has
   * become of the plugin meanwhile counts for more.
   */
  async #recover(record: PluginRecord): Promise<void> {
    const { folder, restart } = record;
    const goesOn = () => record.restart === restart && record.folder === folder && !this.#closing;
    try {
      const candidate = await this.#launcher.launch(record, folder, this.effectiveConfig(record, folder));
      if (goesOn()) return await this.exchange(record, folder, candidate);
      await candidate.stop();
    } catch (error) {
      if (goesOn()) {
        delete record.restart;
        this.#tellFailed(record, error as AtollError);
      }
    }
    if (!this.#closing) await this.exclusive(() => this.reconcile());
  }

  /** Work that takes no turn. */
  #beside(work: Promise<void>): void {
    this.#besides.add(work);
    void work.finally(() => this.#besides.delete(work));
  }

  /** It was moved to another cell, and crashed where it was by what it still had to finish. That it runs elsewhere by now is its restart. */
  #onMovedEnd(record: PluginRecord, instance: PluginInstance, fate: IsolateFate): void {
    if (!this.#moved.has(instance) || !record.instance || fate.culprit === 'no' || this.#closing) return;
    record.restarts++;
    if (record.crashes.crashed() !== 'quarantine') return;
    void this.exclusive(async () => {
      await this.stop(record, 'quarantined', tooOften(fate));
      await this.reconcile();
    });
  }

  /** Its cell is given up for another plugin's sake: a new instance takes over, this one finishes what it has. */
  #onEvict(record: PluginRecord, instance: PluginInstance): void {
    if (record.canary?.candidate === instance) record.canary.rollBack('Its cell had to be given up.');
    if (record.instance !== instance || this.#closing) return;
    this.#moved.add(instance);
    // Beside whatever else changes: its cell does not wait.
    this.#beside(
      this.swap(record, record.folder, { replaces: instance }).then(
        (swapped) => this.tellSwapped([swapped]),
        () => {},
      ),
    );
  }

  effectiveConfig({ storedConfig }: PluginRecord, { manifest }: PluginFolder): Record<string, unknown> {
    return effectiveConfig(manifest, { ...this.deps.config.plugins.config[manifest.id], ...storedConfig });
  }

  #warnOfAbsentCapabilities(record: PluginRecord): void {
    const { permissions } = manifestOf(record);
    const absent = ABSENT.filter((name) => permissions[name]);
    if (absent.length === 0) return;
    this.log(record, {
      time: new Date().toISOString(),
      level: 'warn',
      message: `this kernel does not offer: ${absent.join(', ')}`,
    });
  }

  log(record: PluginRecord, line: PluginLogLine): void {
    record.logs.add(line);
    this.deps.onLog(manifestOf(record).id, line);
  }
}

const tooOften = ({ message }: IsolateFate): string => `It crashed too often; the last time: ${message}`;

/** The node without needing services that a test fakes. */
function withoutServices<T extends GraphNode>(node: T, faked: readonly string[]): T {
  return {
    ...node,
    consumes: Object.fromEntries(Object.entries(node.consumes).filter(([service]) => !faked.includes(service))),
  };
}
