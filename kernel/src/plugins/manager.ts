import { AtollError, type Principal } from '@atoll/plugin-sdk/contract';
import { dependantsOf, type PluginFolder, type PluginManifest, readPluginFolder } from '@atoll/registry';
import { authorize } from '../auth/index.js';
import { maskBySchema } from '../config/index.js';
import { assertNoCanary, Canaries, type CanariesDeps } from './canary/canaries.js';
import type { PluginInstance } from './instance.js';
import { adopt, type Decided, setConfig } from './adopt.js';
import { type PluginChange, PluginSet } from './plugin-set.js';
import { parseGuestJson } from '../sandbox/host/guest-json.js';
import { PluginPermissions } from './permissions/plugin-permissions.js';
import { Recordings } from './rehearsal/recordings.js';
import { Rehearsals, type RehearsalsDeps } from './rehearsal/rehearsals.js';
import { manifestOf, type PluginRecord, toInfo } from './record.js';
import { Reconciler, type ReconcilerDeps, type Swapped } from './reconciler.js';
import type { DesiredState, DesiredStateStore } from './state-store.js';
import type {
  ChannelCall,
  ErrorTemplate,
  Following,
  PluginHost,
  PluginInfo,
  PluginLogLine,
  SwapOptions,
} from './types.js';

export type { PluginChange } from './plugin-set.js';
export type { Fakes } from './reconciler.js';

export interface PluginManagerDeps extends Omit<ReconcilerDeps, 'recordings'>, Pick<RehearsalsDeps, 'versionOf'> {
  store: DesiredStateStore;
  /** Runs a change of what is wanted when no other one is made, here or on another node. */
  changes: Changes;
  canaries: Omit<CanariesDeps, 'events' | 'routes'>;
}

export type Changes = <T>(work: () => Promise<T>) => Promise<T>;

const SETTLE_MS = 3_000;

/** What an operator can do with plugins, and what HTTP and WebSocket need of them. */
export class PluginManager implements PluginHost {
  readonly #reconciler: Reconciler;
  readonly #set: PluginSet;
  readonly permissions: PluginPermissions;
  readonly canaries: Canaries;
  readonly rehearsals: Rehearsals;

  constructor(private readonly deps: PluginManagerDeps) {
    const recordings = new Recordings(deps.config.plugins.rehearsal);
    this.#reconciler = new Reconciler({ ...deps, recordings });
    this.rehearsals = new Rehearsals(this.#reconciler, { ...deps, recordings });
    this.#set = new PluginSet(this.#reconciler, deps);
    this.canaries = new Canaries(this.#reconciler, { ...deps, ...deps.canaries });
    this.permissions = new PluginPermissions(this.#reconciler, deps.permissions, deps.config);
  }

  /** Installs plugin folders before the start. Clashing ones are refused and returned as problems. */
  async install(
    folders: { folder: PluginFolder; origin: PluginRecord['origin'] }[],
  ): Promise<{ dir: string; error: AtollError }[]> {
    await this.deps.permissions.start();
    const problems = await this.#set.install(folders);
    await this.canaries.restore();
    return problems;
  }

  /** Installs, exchanges and removes plugins: all of it, or nothing; see PluginSet. */
  change(changes: readonly PluginChange[], commit: () => Promise<void>, options?: SwapOptions): Promise<void> {
    return this.#set.change(changes, commit, options);
  }

  /** Takes over what another node has decided; resolves with why it can't, by plugin. */
  adopt(decided: Decided): Promise<Map<string, string>> {
    return adopt({ reconciler: this.#reconciler, set: this.#set, config: this.deps.config }, decided);
  }

  /** Starts what should run. Never rejects: what fails has a reason. */
  start(): Promise<void> {
    return this.#reconciler.exclusive(() => this.#reconciler.reconcile());
  }

  async close(): Promise<void> {
    await this.canaries.close();
    await this.#reconciler.close();
    await this.deps.permissions.close();
  }

  list(): PluginInfo[] {
    return [...this.#reconciler.records.values()].map(toInfo).sort((a, b) => a.id.localeCompare(b.id));
  }

  get(id: string): PluginInfo | undefined {
    const record = this.#reconciler.records.get(id);
    return record && toInfo(record);
  }

  /** What its details tell of the channel that it follows. */
  setFollowing(id: string, following: Following): void {
    const record = this.#reconciler.records.get(id);
    if (record) record.following = following;
  }

  /** The running instance, if any. */
  instance(id: string): PluginInstance | undefined {
    return this.#reconciler.records.get(id)?.instance;
  }

  enable(id: string): Promise<PluginInfo> {
    return this.#change(id, async (record) => {
      record.desired = 'enabled';
      this.#reconciler.forgive(record);
      await this.#reconciler.reconcile();
      await this.#save(record);
    });
  }

  disable(id: string, { cascade = false } = {}): Promise<PluginInfo> {
    return this.#change(id, async (record) => {
      const needed = dependantsOf(id, this.#reconciler.wanted()).filter(
        (other) => this.#reconciler.records.get(other)?.state === 'active',
      );
      if (needed.length > 0 && !cascade)
        throw new AtollError('PLUGIN_NEEDED', `${needed.join(', ')} need${needed.length === 1 ? 's' : ''} "${id}".`, {
          dependants: needed,
        });
      record.desired = 'disabled';
      await this.#reconciler.reconcile();
      await this.#save(record);
    });
  }

  /** Reads the plugin's folder anew and swaps the new version in. When it fails at any point, the running one stays. */
  async reload(id: string, options: SwapOptions = {}): Promise<PluginInfo> {
    const record = this.#need(id);
    await this.#reconciler.exclusive(async () => {
      assertNoCanary(record);
      const folder = await readPluginFolder(record.folder.dir);
      if (folder.manifest.id !== id)
        throw new AtollError('PLUGIN_CLASH', `The folder now holds the plugin "${folder.manifest.id}".`);
      if (record.instance) {
        this.#reconciler.assertFits(folder);
        this.#reconciler.tellSwapped([await this.#reconciler.swap(record, folder, options)]);
      } else {
        record.folder = folder;
        if (record.state === 'failed' || record.state === 'quarantined') this.#reconciler.set(record, 'installed');
        record.crashes.forgive();
      }
      await this.#reconciler.reconcile();
    });
    return toInfo(record);
  }

  /** Of everything that is installed. */
  manifests(): PluginManifest[] {
    return [...this.#reconciler.records.values()].map(manifestOf);
  }

  /** Plugin id → source folder. */
  folders(): Map<string, string> {
    return new Map([...this.#reconciler.records].map(([id, { folder }]) => [id, folder.dir]));
  }

  logs(id: string, options?: { limit?: number; level?: PluginLogLine['level'] }): PluginLogLine[] {
    return this.#need(id).logs.read(options);
  }

  config(id: string): { schema: Record<string, unknown>; values: Record<string, unknown> } {
    const record = this.#need(id);
    const schema = manifestOf(record).config ?? { type: 'object', properties: {} };
    return {
      schema,
      values: maskBySchema(schema, this.#reconciler.effectiveConfig(record, record.folder)) as Record<string, unknown>,
    };
  }

  setConfig(id: string, values: Record<string, unknown>): Promise<PluginInfo> {
    return this.#change(id, async (record) => {
      assertNoCanary(record);
      const before = record.storedConfig;
      const swapped: Swapped[] = [];
      record.storedConfig = values;
      try {
        this.#reconciler.effectiveConfig(record, record.folder);
        if (record.instance) swapped.push(await this.#reconciler.swap(record, record.folder));
      } catch (error) {
        setConfig(record, before);
        throw error;
      }
      if (record.state === 'failed') this.#reconciler.set(record, 'installed');
      await this.#reconciler.reconcile();
      await this.#save(record, swapped);
    });
  }

  mountOf(path: string): { plugin: string; errorTemplate?: ErrorTemplate } | undefined {
    for (const record of this.#reconciler.records.values()) {
      const { id, mounts, errors } = manifestOf(record);
      if (mounts.some((mount) => path === mount || path.startsWith(`${mount}/`))) {
        return { plugin: id, ...(errors && { errorTemplate: errors as ErrorTemplate }) };
      }
    }
    return undefined;
  }

  /** Waits until a plugin that is just (re)starting is up or has failed, for a moment at most. */
  async settled(id: string): Promise<void> {
    const until = performance.now() + SETTLE_MS;
    const busy = () => {
      const record = this.#reconciler.records.get(id);
      return (
        record !== undefined &&
        (record.state === 'starting' || (record.state === 'installed' && record.desired === 'enabled'))
      );
    };
    while (busy() && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  async callChannel({ channel, data, principal, traceparent, signal }: ChannelCall): Promise<unknown> {
    const record = this.#reconciler.records.get(channel.split('.')[0]!);
    const instance = await taking(record, principal);
    const found = instance?.channels.get(channel);
    if (!instance || !found) throw new AtollError('NOT_FOUND', `There is no channel "${channel}".`);
    if (found.permission) authorize(principal, found.permission);
    if (found.input && !found.input.check(data)) {
      throw new AtollError('VALIDATION_FAILED', `The data for "${channel}" does not match its schema.`, {
        errors: found.input.errors(data),
      });
    }
    const { timeoutMs } = instance.manifest.limits;
    const body = data === undefined ? undefined : JSON.stringify(data);
    const meta = { m: 'channel', i: found.index };
    const ask = () => instance.call({ meta, body, timeoutMs, traceparent, principal, signal, streams: true });
    const reply: AnyReply = await (instance.meter ? instance.meter.measure(ask) : ask());
    if (reply.stream) return parseEach(reply.stream);
    return reply.body ? parseAnswer(reply.body) : undefined;
  }

  #need(id: string): PluginRecord {
    const record = this.#reconciler.records.get(id);
    if (!record) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
    return record;
  }

  async #change(id: string, work: (record: PluginRecord) => Promise<void>): Promise<PluginInfo> {
    return this.deps.changes(() =>
      this.#reconciler.exclusive(async () => {
        const record = this.#need(id);
        await work(record);
        return toInfo(record);
      }),
    );
  }

  async #save(record: PluginRecord, swapped: readonly Swapped[] = []): Promise<void> {
    const { desired, storedConfig } = record;
    const state: DesiredState = { desired, ...(storedConfig && { config: storedConfig }) };
    const states = new Map([[manifestOf(record).id, state]]);
    record.generation = await this.#reconciler.keep(swapped, () => this.deps.store.save(states));
  }
}

interface AnyReply {
  body?: Buffer | undefined;
  stream?: AsyncIterable<Buffer>;
}

/** The version that takes a call, as soon as none of them is being exchanged. */
async function taking(record: PluginRecord | undefined, principal: Principal): Promise<PluginInstance | undefined> {
  let instance = record?.instance?.taking({ principal });
  while (instance?.paused) {
    await instance.resumed();
    instance = record?.instance?.taking({ principal });
  }
  return instance;
}

async function* parseEach(stream: AsyncIterable<Buffer>): AsyncGenerator<unknown> {
  for await (const chunk of stream) yield parseAnswer(chunk);
}

function parseAnswer(json: Buffer): unknown {
  try {
    return parseGuestJson(json);
  } catch (error) {
    throw new AtollError('PLUGIN_BAD_RESPONSE', `The plugin's answer can't be passed on. ${(error as Error).message}`);
  }
}
