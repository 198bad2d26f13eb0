import type { Config } from '../../config/index.js';
import type { PluginInstance } from '../instance.js';
import { secretsOfConfig } from './call-mask.js';
import { Masker } from './masker.js';
import { CallRecorder } from './recorder.js';

export interface RecordingSettings {
  on: boolean;
  sample: number;
  keep: number;
}

/** Which plugins' calls are recorded. What is set through the API holds until the kernel ends; the configuration holds at each start. */
export class Recordings {
  readonly masker: Masker;
  readonly #set = new Map<string, RecordingSettings>();

  constructor(private readonly config: Config['plugins']['rehearsal']) {
    this.masker = new Masker(config.mask);
  }

  settings(id: string): RecordingSettings {
    const { record, sample, keep } = this.config;
    return this.#set.get(id) ?? { on: record.includes(id) || record.includes('*'), sample, keep };
  }

  /** Holds for the versions that start from now on; `begin` makes it hold for a running one. */
  set(id: string, change: Partial<RecordingSettings>): RecordingSettings {
    const settings = { ...this.settings(id), ...change };
    this.#set.set(id, settings);
    return settings;
  }

  /** Records the calls of an instance, or no longer. A recording begins anew with each instance. */
  begin(instance: PluginInstance, config: Record<string, unknown>): void {
    const { on, sample, keep } = this.settings(instance.id);
    const { maxBytes, maxCallBytes } = this.config;
    const { registered, manifest } = instance;
    const before = instance.recorder;
    instance.recorder = on
      ? new CallRecorder(
          { sample, keep, maxBytes, maxCallBytes },
          { registered, masker: this.masker, base: secretsOfConfig(manifest.config, config, this.masker) },
        )
      : undefined;
    if (instance.recorder && before) instance.recorder.setup = before.setup;
  }
}
