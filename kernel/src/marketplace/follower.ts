import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Channel, PackageStore, Permission } from '@atoll/registry';
import semver from 'semver';
import type { EventBus } from '../events/index.js';
import type { PluginManager } from '../plugins/manager.js';
import type { PendingUpgrade } from '../plugins/types.js';
import type { Installation, InstallationStore } from './installation-store.js';
import type { Installer } from './installer.js';

export interface FollowerDeps {
  store: PackageStore;
  installations: InstallationStore;
  installer: Installer;
  manager: PluginManager;
  events: EventBus;
  /** What happened without anybody's asking for it, for the audit trail. */
  onDeed: (action: string, plugin: string, after: object) => void;
  onProblem: (plugin: string, error: unknown) => void;
}

/**
 * Plugins that follow a channel: a new version in it is swapped in by the same way as any upgrade. What can't be, because it asks for more
 * permissions or does not start, waits and is shown. A version that was rolled back from is not chosen again.
 */
export class Follower {
  readonly #waiting = new Set<string>();
  readonly #ends: (() => void)[] = [];
  #working: Promise<void> | undefined;
  #closed = false;

  constructor(private readonly deps: FollowerDeps) {}

  /** Looks for what has appeared meanwhile, and from then on at what appears. */
  async start(): Promise<void> {
    const { store, events, installations } = this.deps;
    const look = (id: unknown) => typeof id === 'string' && this.#look(id);
    this.#ends.push(
      store.subscribe((event) => look(event.id)),
      events.subscribe('plugin.swapped', ({ data }) => look((data as { id?: unknown }).id)),
    );
    for (const end of ['promoted', 'rolled-back', 'aborted'])
      this.#ends.push(events.subscribe(`plugin.canary.${end}`, ({ data }) => look((data as { id?: unknown }).id)));
    for (const { id, follows } of await installations.list()) if (follows) this.#look(id);
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const end of this.#ends) end();
    await this.#working;
  }

  /** Throws PLUGIN_NOT_FOUND, or VERSION_NOT_FOUND for a plugin that does not come from the registry. */
  async follow(id: string, channel: Channel | undefined): Promise<Channel | undefined> {
    const before = (await this.#need(id)).follows;
    await this.deps.installations.follow(id, channel);
    this.#look(id);
    await this.#working;
    return before;
  }

  async #need(id: string): Promise<Installation> {
    if (!this.deps.manager.get(id)) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
    const installed = await this.deps.installations.get(id);
    if (installed) return installed;
    throw new AtollError('VERSION_NOT_FOUND', `"${id}" comes from a folder; it has no channels to follow.`);
  }

  /** One after the other; a plugin that is to be looked at again is, once. */
  #look(id: string): void {
    if (this.#closed) return;
    this.#waiting.add(id);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }

  async #work(): Promise<void> {
    for (const id of this.#waiting) {
      this.#waiting.delete(id);
      if (!this.#closed) await this.#check(id).catch((error) => this.deps.onProblem(id, error));
    }
  }

  async #check(id: string): Promise<void> {
    const { store, installations, manager } = this.deps;
    const installed = await installations.get(id);
    const follows = installed?.follows;
    if (!installed || !follows) return manager.setFollowing(id, {});
    await store.refresh();
    const wanted = store.catalogue.get(id)?.channels[follows];
    const tried = installed.former.some(({ version }) => version === wanted);
    if (wanted === undefined || tried || !semver.gt(wanted, installed.version))
      return manager.setFollowing(id, { follows });
    const pending = await this.#upgrade(id, installed.version, wanted);
    manager.setFollowing(id, { follows, ...(pending && { pendingUpgrade: pending }) });
  }

  /** Resolves with why it has to wait, if it has. */
  async #upgrade(id: string, from: string, version: string): Promise<PendingUpgrade | undefined> {
    try {
      const { plan } = await this.deps.installer.upgrade(id, { version });
      // Another node may have been first.
      if (plan.steps.length > 0) this.deps.onDeed('plugins.follow.upgrade', id, { from, to: version });
      return undefined;
    } catch (error) {
      if (!(error instanceof AtollError)) throw error;
      const pending: PendingUpgrade = { version, code: error.code, reason: error.message, asks: asksOf(error, id) };
      const known = this.deps.manager.get(id)?.pendingUpgrade;
      if (known?.version !== version || known.code !== error.code)
        this.deps.events.emit('plugin.upgrade.pending', { id, version, code: error.code, reason: error.message });
      return pending;
    }
  }
}

/** What it asks for beyond what was agreed to. */
function asksOf({ extras }: AtollError, id: string): Permission[] {
  const plan = (extras as { plan?: { id: string; permissions: { added: Permission[] } }[] }).plan ?? [];
  return plan.find((step) => step.id === id)?.permissions.added ?? [];
}
