import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Config } from '../../config/index.js';
import { manifestOf, type PluginRecord } from '../record.js';
import type { Reconciler } from '../reconciler.js';
import { netParser } from './net-parser.js';
import type { PermissionDesk, PermissionView, UsageView } from './permission-desk.js';
import type { PermissionSet } from './permission-set.js';
import type { Use } from './permits.js';

/** Effects that are uses of a permission, also while nothing happens. */
const STANDING: Readonly<Record<string, (label: string) => Use>> = {
  listener: (value) => ({ kind: 'events.subscribe', value }),
  job: () => ({ kind: 'jobs' }),
  schedule: () => ({ kind: 'schedule' }),
};

/** What an operator can do with the permissions of plugins that are installed. */
export class PluginPermissions {
  constructor(
    private readonly reconciler: Reconciler,
    private readonly desk: PermissionDesk,
    private readonly config: Config,
  ) {}

  view(id: string): PermissionView {
    return this.desk.view(manifestOf(this.#need(id)));
  }

  /** Without a set, it gets back all that its manifest asks for. */
  narrow(id: string, set: PermissionSet | undefined): Promise<PermissionView> {
    return this.desk.narrow(manifestOf(this.#need(id)), set);
  }

  observe(id: string, on: boolean): Promise<PermissionView> {
    return this.desk.observe(manifestOf(this.#need(id)), on);
  }

  usage(id: string): UsageView {
    const record = this.#need(id);
    const manifest = manifestOf(record);
    const standing = [...(record.instance?.effects ?? [])].flatMap(({ kind, label }) => STANDING[kind]?.(label) ?? []);
    const config = this.reconciler.effectiveConfig(record, record.folder);
    return this.desk.usage(manifest, standing, netParser(manifest, config, this.config.net.narrow[id]));
  }

  #need(id: string): PluginRecord {
    const record = this.reconciler.records.get(id);
    if (!record) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
    return record;
  }
}
