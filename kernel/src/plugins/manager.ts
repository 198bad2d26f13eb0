import { AtollError } from '@atoll/plugin-sdk/contract';
import {
  dependantsOf,
  type GraphNode,
  type PluginFolder,
  type PluginManifest,
  planStart,
  readPluginFolder,
} from '@atoll/registry';
import { authorize } from '../auth/index.js';
import type { Config } from '../config/index.js';
import { maskBySchema } from '../config/index.js';
import type { EventBus } from '../events/index.js';
import type { RouteTable } from '../http/route-table.js';
import type { Grant } from '../net/index.js';
import type { IsolateFate, Supervisor } from '../sandbox/host/supervisor.js';
import { compileGuestSchema } from '../schema/index.js';
import type { SyscallTable } from '../syscalls/table.js';
import { CrashPolicy } from './crash-policy.js';
import { handOver } from './handoff.js';
import type { PluginInstance } from './instance.js';
import { PluginLauncher } from './launcher.js';
import { LogRing } from './log-ring.js';
import { manifestOf, type PluginRecord, toInfo, toNode } from './record.js';
import type { DesiredState, DesiredStateStore } from './state-store.js';
import type {
  ChannelCall,
  ErrorTemplate,
  PluginHost,
  PluginInfo,
  PluginLogLine,
  PluginState,
  SwapOptions,
} from './types.js';

export interface PluginManagerDeps {
  config: Config;
  events: EventBus;
  routes: RouteTable;
  supervisor: Supervisor;
  syscalls: SyscallTable<PluginInstance>;
  store: DesiredStateStore;
  /** Makes an instance, with a scope of its own. */
  newInstance: (manifest: PluginManifest, grants: Grant[]) => PluginInstance;
  /** Where bundles are cached. */
  cacheDir: string;
  onLog: (plugin: string, line: PluginLogLine) => void;
  onMetric: (plugin: string, metric: unknown) => void;
  fakes?: Fakes;
}

/** What a test puts in the place of other plugins and of the time. */
export interface Fakes {
  /** Services that count as provided. */
  services: string[];
  /** Start of a manual clock in the guest, epoch ms. */
  clockStart?: number;
}

/** Permissions that the manifest format knows and this kernel has no capability for. */
const ABSENT = ['gpu', 'jobs', 'schedule', 'cache'] as const;
const SETTLE_MS = 3_000;
const PARALLEL_STARTS = 4;

/** Moves each plugin to its desired state, one step at a time, and answers for the plugins to HTTP and WebSocket. */
export class PluginManager implements PluginHost {
  readonly #records = new Map<string, PluginRecord>();
  readonly #launcher: PluginLauncher;
  #running: Promise<void> = Promise.resolve();
  #closing = false;

  constructor(private readonly deps: PluginManagerDeps) {
    this.#launcher = new PluginLauncher({
      ...deps,
      onLog: (record, line) => this.#log(record, line),
      ...(deps.fakes?.clockStart !== undefined && { clockStart: deps.fakes.clockStart }),
      onEnd: (record, instance, fate) => this.#onEnd(record, instance, fate),
      onEvict: (record, instance) => this.#onEvict(record, instance),
    });
  }

  /** Installs plugin folders. Clashing ones are refused and returned as problems. */
  async install(
    folders: { folder: PluginFolder; origin: PluginRecord['origin'] }[],
  ): Promise<{ dir: string; error: AtollError }[]> {
    const stored = await this.deps.store.load();
    const problems: { dir: string; error: AtollError }[] = [];
    for (const { folder, origin } of folders) {
      const clash = this.#clash(folder);
      if (clash) problems.push({ dir: folder.dir, error: clash });
      else this.#records.set(folder.manifest.id, this.#newRecord(folder, origin, stored.get(folder.manifest.id)));
    }
    return problems;
  }

  #newRecord(folder: PluginFolder, origin: PluginRecord['origin'], stored: DesiredState | undefined): PluginRecord {
    const { sandbox, log, plugins } = this.deps.config;
    const desired = stored?.desired ?? (plugins.disabled.includes(folder.manifest.id) ? 'disabled' : 'enabled');
    return {
      folder,
      origin,
      desired,
      state: 'installed',
      ...(stored?.config && { storedConfig: stored.config }),
      crashes: new CrashPolicy(sandbox),
      logs: new LogRing(log.pluginLines),
      restarts: 0,
      retiring: new Set(),
      solo: false,
    };
  }

  #clash({ manifest }: PluginFolder): AtollError | undefined {
    const same = this.#records.get(manifest.id);
    if (same) return new AtollError('PLUGIN_CLASH', `The id "${manifest.id}" is already taken by ${same.folder.dir}.`);
    for (const other of this.#records.values()) {
      for (const theirs of manifestOf(other).mounts) {
        const ours = manifest.mounts.find(
          (mount) => mount === theirs || mount.startsWith(`${theirs}/`) || theirs.startsWith(`${mount}/`),
        );
        if (ours)
          return new AtollError(
            'PLUGIN_CLASH',
            `"${manifest.id}" mounts ${ours}, which clashes with ${theirs} of "${manifestOf(other).id}".`,
          );
      }
    }
    return undefined;
  }

  /** Starts what should run. Never rejects: what fails has a reason. */
  start(): Promise<void> {
    return this.#exclusive(() => this.#reconcile());
  }

  async close(): Promise<void> {
    this.#closing = true;
    for (const record of this.#records.values()) clearTimeout(record.restart);
    await this.#running.catch(() => {});
    await Promise.all([...this.#records.values()].map((record) => this.#stop(record, 'stopped')));
    await Promise.all([...this.#records.values()].flatMap(({ retiring }) => [...retiring].map((one) => one.stop())));
  }

  list(): PluginInfo[] {
    return [...this.#records.values()].map(toInfo).sort((a, b) => a.id.localeCompare(b.id));
  }

  get(id: string): PluginInfo | undefined {
    const record = this.#records.get(id);
    return record && toInfo(record);
  }

  /** The running instance, if any. */
  instance(id: string): PluginInstance | undefined {
    return this.#records.get(id)?.instance;
  }

  async enable(id: string): Promise<PluginInfo> {
    const record = this.#need(id);
    await this.#exclusive(async () => {
      record.desired = 'enabled';
      record.crashes.forgive();
      record.solo = false;
      if (record.state === 'failed' || record.state === 'quarantined') this.#set(record, 'installed');
      await this.#reconcile();
      await this.#save();
    });
    return toInfo(record);
  }

  async disable(id: string, { cascade = false } = {}): Promise<PluginInfo> {
    const record = this.#need(id);
    await this.#exclusive(async () => {
      const needed = dependantsOf(id, this.#wanted()).filter((other) => this.#records.get(other)?.state === 'active');
      if (needed.length > 0 && !cascade)
        throw new AtollError('PLUGIN_NEEDED', `${needed.join(', ')} need${needed.length === 1 ? 's' : ''} "${id}".`, {
          dependants: needed,
        });
      record.desired = 'disabled';
      await this.#reconcile();
      await this.#save();
    });
    return toInfo(record);
  }

  /** Reads the plugin's folder anew and swaps the new version in. When it fails at any point, the running one stays. */
  async reload(id: string, options: SwapOptions = {}): Promise<PluginInfo> {
    const record = this.#need(id);
    await this.#exclusive(async () => {
      const folder = await readPluginFolder(record.folder.dir);
      if (folder.manifest.id !== id)
        throw new AtollError('PLUGIN_CLASH', `The folder now holds the plugin "${folder.manifest.id}".`);
      if (record.instance) await this.#swap(record, folder, options);
      else {
        record.folder = folder;
        if (record.state === 'failed' || record.state === 'quarantined') this.#set(record, 'installed');
        record.crashes.forgive();
      }
      await this.#reconcile();
    });
    return toInfo(record);
  }

  /** Of everything that is installed. */
  manifests(): PluginManifest[] {
    return [...this.#records.values()].map(manifestOf);
  }

  /** Plugin id → source folder. */
  folders(): Map<string, string> {
    return new Map([...this.#records].map(([id, { folder }]) => [id, folder.dir]));
  }

  logs(id: string, options?: { limit?: number; level?: PluginLogLine['level'] }): PluginLogLine[] {
    return this.#need(id).logs.read(options);
  }

  config(id: string): { schema: Record<string, unknown>; values: Record<string, unknown> } {
    const record = this.#need(id);
    const schema = manifestOf(record).config ?? { type: 'object', properties: {} };
    return {
      schema,
      values: maskBySchema(schema, this.#effectiveConfig(record, record.folder)) as Record<string, unknown>,
    };
  }

  async setConfig(id: string, values: Record<string, unknown>): Promise<PluginInfo> {
    const record = this.#need(id);
    await this.#exclusive(async () => {
      const before = record.storedConfig;
      record.storedConfig = values;
      try {
        this.#effectiveConfig(record, record.folder);
        if (record.instance) await this.#swap(record, record.folder);
      } catch (error) {
        if (before) record.storedConfig = before;
        else delete record.storedConfig;
        throw error;
      }
      if (record.state === 'failed') this.#set(record, 'installed');
      await this.#reconcile();
      await this.#save();
    });
    return toInfo(record);
  }

  mountOf(path: string): { plugin: string; errorTemplate?: ErrorTemplate } | undefined {
    for (const record of this.#records.values()) {
      const { id, mounts, errors } = manifestOf(record);
      if (mounts.some((mount) => path === mount || path.startsWith(`${mount}/`))) {
        return { plugin: id, ...(errors && { errorTemplate: errors as ErrorTemplate }) };
      }
    }
    return undefined;
  }

  /** Waits until a plugin that is just (re)starting is up or has failed, for a moment at most. */
  async settled(id: string): Promise<void> {
    const until = Date.now() + SETTLE_MS;
    const busy = () => {
      const record = this.#records.get(id);
      return (
        record !== undefined &&
        (record.state === 'starting' || (record.state === 'installed' && record.desired === 'enabled'))
      );
    };
    while (busy() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async callChannel({ channel, data, principal, traceparent, signal }: ChannelCall): Promise<unknown> {
    const record = this.#records.get(channel.split('.')[0]!);
    while (record?.instance?.paused) await record.instance.resumed();
    const found = record?.instance?.channels.get(channel);
    if (!record?.instance || !found) throw new AtollError('NOT_FOUND', `There is no channel "${channel}".`);
    if (found.permission) authorize(principal, found.permission);
    if (found.input && !found.input.check(data)) {
      throw new AtollError('VALIDATION_FAILED', `The data for "${channel}" does not match its schema.`, {
        errors: found.input.errors(data),
      });
    }
    const timeoutMs = manifestOf(record).limits.timeoutMs;
    const body = data === undefined ? undefined : JSON.stringify(data);
    const reply = await record.instance.call({
      meta: { m: 'channel', i: found.index },
      body,
      timeoutMs,
      traceparent,
      principal,
      signal,
    });
    if (reply.stream) return parseEach(reply.stream);
    return reply.body ? (JSON.parse(reply.body.toString('utf8')) as unknown) : undefined;
  }

  #need(id: string): PluginRecord {
    const record = this.#records.get(id);
    if (!record) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
    return record;
  }

  /** One change of the set of plugins at a time. */
  #exclusive<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#running.then(task);
    this.#running = result.then(
      () => {},
      () => {},
    );
    return result;
  }

  #wanted(): GraphNode[] {
    return [...this.#records.values()].filter(({ desired }) => desired === 'enabled').map(manifestOf);
  }

  /** What could run: wanted, and not given up. */
  #able(): GraphNode[] {
    const able = (record: PluginRecord) =>
      record.desired === 'enabled' && record.state !== 'failed' && record.state !== 'quarantined';
    const nodes: GraphNode[] = [...this.#records.values()].filter(able).map(manifestOf);
    return this.deps.fakes ? nodes.map((node) => withoutServices(node, this.deps.fakes!.services)) : nodes;
  }

  async #reconcile(): Promise<void> {
    if (this.#closing) return;
    for (const record of this.#records.values()) {
      if (record.desired === 'disabled' && record.state !== 'stopped')
        await this.#stop(record, 'stopped', 'It is disabled.');
    }
    // A plugin that fails to start takes away what it would have provided: then the plan is made anew.
    let failed = true;
    while (failed) {
      failed = false;
      const plan = planStart(this.#able(), [...this.#records.values()].map(toNode));
      for (const [id, reason] of plan.pending) await this.#hold(this.#records.get(id)!, reason);
      for (const layer of plan.order) {
        if (!(await this.#bringUpLayer(layer))) failed = true;
        if (failed) break;
      }
    }
  }

  async #hold(record: PluginRecord, reason: string): Promise<void> {
    await this.#stop(record, 'pending', `It ${reason}.`);
  }

  /** A few at a time: more would only fight for the processor and look stuck to the supervisor. False when one failed. */
  async #bringUpLayer(layer: readonly string[]): Promise<boolean> {
    const left = [...layer];
    let fine = true;
    const worker = async () => {
      for (let id = left.shift(); id !== undefined; id = left.shift())
        fine = (await this.#bringUp(this.#records.get(id)!)) && fine;
    };
    await Promise.all(Array.from({ length: PARALLEL_STARTS }, worker));
    return fine;
  }

  /** False when it should run and could not be started. */
  async #bringUp(record: PluginRecord): Promise<boolean> {
    if (record.instance || record.restart) return true;
    this.#set(record, 'starting');
    try {
      await this.#launchInto(record, record.folder);
      return true;
    } catch (error) {
      const { code, message } = error as AtollError;
      this.#log(record, { time: new Date().toISOString(), level: 'error', message: `start failed: ${message}` });
      this.#set(record, 'failed', `${message} (${code})`);
      return false;
    }
  }

  async #launchInto(record: PluginRecord, folder: PluginFolder): Promise<void> {
    const began = performance.now();
    const instance = await this.#launcher.launch(record, folder, this.#effectiveConfig(record, folder));
    await this.#takeOver(record, folder, instance);
    record.startMs = Math.round(performance.now() - began);
  }

  /** Puts a healthy candidate in the place of the running version, if there is one. When that fails, the candidate is gone and all is as it was. */
  async #takeOver(
    record: PluginRecord,
    folder: PluginFolder,
    candidate: PluginInstance,
    { discardState = false }: SwapOptions = {},
  ): Promise<void> {
    const before = record.instance;
    const resume = before?.pause();
    try {
      const commitRoutes = this.deps.routes.prepare(folder.manifest.id, candidate.routes);
      if (before && !discardState) await handOver(before, candidate);
      // From here on nothing can fail, and nothing else runs until the candidate is the running one.
      commitRoutes();
      clearTimeout(record.restart);
      delete record.restart;
      record.instance = candidate;
      record.folder = folder;
      before?.withdraw();
      candidate.activate();
    } catch (error) {
      await candidate.stop();
      throw error;
    } finally {
      resume?.();
    }
    this.#warnOfAbsentCapabilities(record);
    this.#set(record, 'active');
    if (before) void this.#retire(record, before);
  }

  async #swap(record: PluginRecord, folder: PluginFolder, options: SwapOptions = {}): Promise<void> {
    const began = performance.now();
    const from = record.instance;
    const candidate = await this.#launcher.launch(record, folder, this.#effectiveConfig(record, folder));
    await this.#takeOver(record, folder, candidate, options);
    record.startMs = Math.round(performance.now() - began);
    this.deps.events.emit('plugin.swapped', {
      id: candidate.id,
      from: from?.manifest.version ?? null,
      to: candidate.manifest.version,
      ms: record.startMs,
    });
  }

  /** What is in flight finishes on the old version. */
  async #retire(record: PluginRecord, instance: PluginInstance): Promise<void> {
    record.retiring.add(instance);
    await instance.drain(this.deps.config.plugins.drainMs);
    await instance.stop();
    record.retiring.delete(instance);
  }

  async #stop(record: PluginRecord, state: PluginState, reason?: string): Promise<void> {
    clearTimeout(record.restart);
    delete record.restart;
    const { instance } = record;
    if (instance) {
      this.#set(record, 'draining');
      this.deps.routes.remove(instance.id);
      instance.withdraw();
      delete record.instance;
      await instance.drain(this.#closing ? 0 : Math.min(instance.manifest.limits.timeoutMs, 5_000));
      await instance.stop();
    }
    this.#set(record, state, reason);
  }

  #set(record: PluginRecord, state: PluginState, reason?: string): void {
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
    if (record.instance !== instance) return;
    delete record.instance;
    this.deps.routes.remove(instance.id);
    const verdict = fate.culprit === 'no' ? { restartInMs: 0 } : record.crashes.crashed();
    // Once may be chance; the second time each suspect gets a cell of its own, which finds the culprit.
    if (fate.culprit === 'unknown' && record.crashes.recent > 1) record.solo = true;
    this.#log(record, {
      time: new Date().toISOString(),
      level: 'error',
      message: `the isolate ended: ${fate.message}`,
      fields: { why: fate.why },
    });
    if (this.#closing) return;
    if (verdict === 'quarantine') {
      this.#set(record, 'quarantined', `It crashed too often; the last time: ${fate.message}`);
      void this.#exclusive(() => this.#reconcile());
      return;
    }
    record.restarts++;
    this.#set(record, 'starting', fate.message);
    record.restart = setTimeout(() => {
      delete record.restart;
      void this.#exclusive(() => this.#reconcile());
    }, verdict.restartInMs);
  }

  /** Its cell is given up for another plugin's sake: a new instance takes over, this one finishes what it has. */
  #onEvict(record: PluginRecord, instance: PluginInstance): void {
    void this.#exclusive(async () => {
      if (record.instance !== instance || this.#closing) return;
      await this.#swap(record, record.folder).catch(() => {});
    });
  }

  #effectiveConfig(record: PluginRecord, { manifest }: PluginFolder): Record<string, unknown> {
    const given = { ...this.deps.config.plugins.config[manifest.id], ...record.storedConfig };
    if (!manifest.config) return given;
    const validator = compileGuestSchema(manifest.config, { defaults: true });
    const value = validator.parse(given);
    if (validator.check(value)) return value as Record<string, unknown>;
    const errors = validator.errors(value);
    const list = errors
      .map(({ pointer, message }) => `${manifest.id}${pointer.replaceAll('/', '.')}: ${message}`)
      .join('; ');
    throw new AtollError('CONFIG_INVALID', list, { errors });
  }

  #warnOfAbsentCapabilities(record: PluginRecord): void {
    const { permissions } = manifestOf(record);
    const absent = ABSENT.filter((name) => permissions[name]);
    if (absent.length === 0) return;
    this.#log(record, {
      time: new Date().toISOString(),
      level: 'warn',
      message: `this kernel does not offer: ${absent.join(', ')}`,
    });
  }

  #log(record: PluginRecord, line: PluginLogLine): void {
    record.logs.add(line);
    this.deps.onLog(manifestOf(record).id, line);
  }

  async #save(): Promise<void> {
    const states = [...this.#records].map(([id, { desired, storedConfig }]): [string, DesiredState] => [
      id,
      { desired, ...(storedConfig && { config: storedConfig }) },
    ]);
    await this.deps.store.save(new Map(states));
  }
}

/** The node without needing services that a test fakes. */
function withoutServices(node: GraphNode, faked: readonly string[]): GraphNode {
  return {
    ...node,
    consumes: Object.fromEntries(Object.entries(node.consumes).filter(([service]) => !faked.includes(service))),
  };
}

async function* parseEach(stream: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  for await (const chunk of stream) yield JSON.parse(chunk.toString('utf8')) as unknown;
}
