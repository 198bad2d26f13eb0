import { AtollError } from '@atoll/plugin-sdk/contract';
import { bundlePlugin, type PluginFolder, readPluginFolder } from '@atoll/registry';
import type { Config } from '../../config/index.js';
import type { Supervisor } from '../../sandbox/host/supervisor.js';
import type { PluginInstance } from '../instance.js';
import type { PluginRecord } from '../record.js';
import type { Reconciler } from '../reconciler.js';
import type { LeftOut } from './draft.js';
import type { RecordedCall } from './recorded-call.js';
import type { RecordingSettings, Recordings } from './recordings.js';
import { type Performer, Rehearsal } from './rehearsal.js';
import { differing, type RehearsalReport } from './report.js';

export interface RehearsalsDeps {
  config: Config;
  supervisor: Supervisor;
  recordings: Recordings;
  cacheDir: string;
  /** A version of the registry; undefined when it has none of this plugin. */
  versionOf: (id: string, version: string | undefined) => Promise<PluginFolder | undefined>;
}

/** What is recorded of a plugin at this moment, without the calls. */
export interface RecordingView extends RecordingSettings {
  id: string;
  version?: string;
  calls: number;
  bytes: number;
  leftOut: Record<LeftOut, number>;
}

/** Records calls of plugins, and tries new versions with what was recorded before anybody meets them. */
export class Rehearsals {
  readonly #busy = new Set<string>();

  constructor(
    private readonly reconciler: Reconciler,
    private readonly deps: RehearsalsDeps,
  ) {}

  view(id: string): RecordingView {
    const { instance } = this.#need(id);
    const recorder = instance?.recorder;
    return {
      id,
      ...this.deps.recordings.settings(id),
      ...(instance && { version: instance.manifest.version }),
      calls: recorder?.ring.size ?? 0,
      bytes: recorder?.ring.bytes ?? 0,
      leftOut: { tooLarge: 0, binary: 0, notRepeatable: 0, busy: 0, ...recorder?.leftOut },
    };
  }

  /** The recorded calls, masked as they are kept, latest first. */
  calls(id: string, limit: number): RecordedCall[] {
    return (this.#need(id).instance?.recorder?.ring.calls() ?? []).toReversed().slice(0, limit);
  }

  /** The recording begins anew, or ends. */
  record(id: string, change: Partial<RecordingSettings>): RecordingView {
    const record = this.#need(id);
    this.deps.recordings.set(id, change);
    const { instance } = record;
    if (instance) this.deps.recordings.begin(instance, this.reconciler.effectiveConfig(record, record.folder));
    return this.view(id);
  }

  /** Against a version of the registry, or against the plugin's folder as it is now. */
  async rehearse(id: string, version?: string): Promise<RehearsalReport> {
    const record = this.#need(id);
    const folder = (await this.deps.versionOf(id, version)) ?? (await readPluginFolder(record.folder.dir));
    if (folder.manifest.id !== id || (version !== undefined && folder.manifest.version !== version))
      throw new AtollError('VERSION_NOT_FOUND', `Neither the registry nor its folder has ${id}@${version}.`);
    return this.#run(record, folder);
  }

  /** Throws REHEARSAL_DIFFERS when a version does otherwise than the running one in more calls than may be. */
  async assertSame(id: string, folder: PluginFolder): Promise<void> {
    const report = await this.#run(this.#need(id), folder);
    const { maxDifferences } = this.deps.config.plugins.rehearsal;
    const count = differing(report.summary);
    if (count <= maxDifferences) return;
    const [first] = report.calls;
    const { to, summary, calls } = report;
    throw new AtollError(
      'REHEARSAL_DIFFERS',
      `${id}@${to} does ${count} of ${summary.calls} recorded calls otherwise than the running version, such as ${first?.call}.`,
      { summary, calls },
    );
  }

  /** Whether a swap of this plugin needs a rehearsal, when nobody says anything else. */
  isNeeded(id: string): boolean {
    const { rehearseBeforeSwap } = this.deps.config.plugins;
    return rehearseBeforeSwap.includes(id) || rehearseBeforeSwap.includes('*');
  }

  async #run(record: PluginRecord, folder: PluginFolder): Promise<RehearsalReport> {
    const { id } = folder.manifest;
    const { instance } = record;
    const calls = instance?.recorder?.ring.calls() ?? [];
    if (!instance?.isolate || calls.length === 0)
      throw new AtollError('REHEARSAL_NOT_RECORDED', `No call of "${id}" is recorded.`);
    if (this.#busy.has(id)) throw new AtollError('CONFLICT', `A rehearsal of "${id}" is under way.`);
    this.#busy.add(id);
    try {
      const rehearsal = this.#rehearsal(instance, calls);
      return await rehearsal.run(this.#running(record, instance), await this.#candidate(record, folder));
    } finally {
      this.#busy.delete(id);
    }
  }

  #rehearsal({ recorder }: PluginInstance, calls: readonly RecordedCall[]): Rehearsal {
    const { config, supervisor, recordings } = this.deps;
    const { maxMemoryMb, startTimeoutMs } = config.sandbox;
    const { timeoutMs } = config.plugins.rehearsal;
    const { masker } = recordings;
    return new Rehearsal(
      { supervisor, masker, maxMemoryMb, startTimeoutMs, timeoutMs },
      { setup: recorder?.setup, calls },
    );
  }

  /** The very code that runs; its folder may have changed since. */
  #running(record: PluginRecord, { manifest, isolate }: PluginInstance): Performer {
    const config = this.reconciler.effectiveConfig(record, record.folder);
    return { manifest, code: isolate?.spec.code ?? '', config };
  }

  async #candidate(record: PluginRecord, folder: PluginFolder): Promise<Performer> {
    const { code } = await bundlePlugin(folder, { cacheDir: this.deps.cacheDir });
    return { manifest: folder.manifest, code, config: this.reconciler.effectiveConfig(record, folder) };
  }

  #need(id: string): PluginRecord {
    const record = this.reconciler.records.get(id);
    if (!record) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
    return record;
  }
}
