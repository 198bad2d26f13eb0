import { AtollError } from '@atoll/plugin-sdk/contract';
import {
  candidatesOf,
  type PackageStore,
  type PlanStep,
  type PluginFolder,
  type ResolutionPlan,
  resolve,
} from '@atoll/registry';
import type { CanaryView } from '../plugins/canary/canary-view.js';
import { type CanaryRequest, type CanarySpec, toSpec } from '../plugins/canary/spec.js';
import { engineProblem } from '../plugins/fits.js';
import type { Changes, PluginChange, PluginManager } from '../plugins/manager.js';
import type { SwapOptions } from '../plugins/types.js';
import { KERNEL_VERSION } from '../version.js';
import type { Installation, InstallationStore } from './installation-store.js';

export interface InstallOptions extends SwapOptions {
  /** Version, range or channel; `latest` without it. */
  version?: string;
  /** The operator agrees to what the plan asks for. */
  consent?: boolean;
  /** Only tells what would be done. */
  dryRun?: boolean;
}

export interface UpgradeOptions extends InstallOptions {
  /** Tried beside the running version first, with these calls. */
  canary?: CanaryRequest;
  /** Swapped in only when it does the recorded calls as the running version; without it, as it is configured. */
  rehearse?: boolean;
}

export interface Outcome {
  plan: ResolutionPlan;
  /** False for a dry run, and while a canary runs. */
  done: boolean;
  canary?: CanaryView;
}

export interface InstallerDeps {
  store: PackageStore;
  installations: InstallationStore;
  manager: PluginManager;
  /** A plan is only good as long as nothing else changes what it was made for. */
  changes: Changes;
}

/** Brings plugins of the registry into the running kernel and out of it again: a plan first, and then all of it or nothing. */
export class Installer {
  constructor(private readonly deps: InstallerDeps) {}

  /** At start: what is installed, as folders. What can't be had is told, not thrown; its row stays, so that a mended store brings it back. */
  async restore(): Promise<{ folders: PluginFolder[]; problems: { dir: string; error: AtollError }[] }> {
    const { installations } = this.deps;
    const folders: PluginFolder[] = [];
    const problems: { dir: string; error: AtollError }[] = [];
    for (const { id, version } of await installations.list()) {
      try {
        folders.push(await this.folderOf(id, version));
      } catch (error) {
        const why = error instanceof AtollError ? error : new AtollError('INTERNAL', String(error));
        problems.push({ dir: `${id}@${version}`, error: why });
      }
    }
    return { folders, problems };
  }

  /** What is installed, whether this node has it or not. */
  installed(): Promise<Installation[]> {
    return this.deps.installations.list();
  }

  /** A version that can be started here. Throws what unpacking throws, or MANIFEST_INVALID when it is for another kernel. */
  async folderOf(id: string, version: string): Promise<PluginFolder> {
    const folder = await this.deps.store.unpack(id, version);
    const problem = engineProblem(folder.manifest);
    if (problem) throw problem;
    return folder;
  }

  /** Throws CONSENT_NEEDED, and what resolving, unpacking and starting throw; nothing has changed then. */
  install(id: string, { version = 'latest', ...options }: InstallOptions = {}): Promise<Outcome> {
    return this.deps.changes(() => this.#carryOut({ install: { [id]: version } }, options));
  }

  upgrade(id: string, { version, ...options }: UpgradeOptions = {}): Promise<Outcome> {
    return this.deps.changes(() => {
      this.#assertInstalled(id);
      return this.#carryOut(version === undefined ? { upgrade: [id] } : { install: { [id]: version } }, options, id);
    });
  }

  /** Back to the version before, or to the one named; also one that was yanked meanwhile. */
  rollback(id: string, options: SwapOptions & { version?: string } = {}): Promise<Outcome> {
    return this.deps.changes(() => this.#goBack(id, options));
  }

  async #goBack(id: string, { version, ...options }: SwapOptions & { version?: string }): Promise<Outcome> {
    const installed = await this.#need(id);
    const target = version ?? installed.former[0]?.version;
    if (target === undefined || !installed.former.some((one) => one.version === target)) {
      const known = installed.former.map((one) => one.version).join(', ');
      throw new AtollError(
        'VERSION_NOT_FOUND',
        `"${id}" has ${known === '' ? 'no version to go back to' : `run as ${known} before`}.`,
      );
    }
    await this.deps.store.refresh();
    const plan = resolve({
      kernel: KERNEL_VERSION,
      installed: this.deps.manager.manifests(),
      candidates: this.#candidates((one) => one.id === id && one.version === target),
      install: { [id]: target },
    });
    await this.#apply(plan.steps, options);
    return { plan, done: true };
  }

  remove(id: string, options: { cascade?: boolean; dryRun?: boolean } = {}): Promise<Outcome> {
    return this.deps.changes(() => this.#takeAway(id, options));
  }

  async #takeAway(
    id: string,
    { cascade = false, dryRun = false }: { cascade?: boolean; dryRun?: boolean },
  ): Promise<Outcome> {
    this.#assertInstalled(id);
    const rows = new Set((await this.deps.installations.list()).map((row) => row.id));
    const plan = this.#plan({ remove: [id], cascade });
    const foreign = plan.steps.find((step) => step.action === 'remove' && !rows.has(step.id));
    if (foreign)
      throw new AtollError(
        'CONFLICT',
        `"${foreign.id}" comes from a folder, not from the registry: disable it, or take the folder away.`,
      );
    if (dryRun) return { plan, done: false };
    await this.#apply(plan.steps, {});
    return { plan, done: true };
  }

  async #carryOut(
    request: { install?: Record<string, string>; upgrade?: string[] },
    { consent = false, dryRun = false, canary, rehearse, ...swap }: Omit<UpgradeOptions, 'version'>,
    upgraded?: string,
  ): Promise<Outcome> {
    const spec = canary && toSpec(canary);
    await this.deps.store.refresh();
    const plan = this.#plan(request);
    if (dryRun) return { plan, done: false };
    if (plan.needConsent.length > 0 && !consent) {
      throw new AtollError('CONSENT_NEEDED', `${plan.needConsent.join(', ')}: more permissions are asked for.`, {
        plan: plan.steps.map(({ action, id, from, to, permissions }) => ({ action, id, from, to, permissions })),
      });
    }
    if (rehearse !== false) await this.#rehearse(plan.steps, rehearse ? upgraded : undefined);
    if (spec) return { plan, done: false, canary: await this.#try(plan.steps, spec, swap) };
    await this.#apply(plan.steps, swap);
    return { plan, done: true };
  }

  /** The one that was asked for, and all for which it is configured. */
  async #rehearse(steps: readonly PlanStep[], asked: string | undefined): Promise<void> {
    const { rehearsals } = this.deps.manager;
    for (const { id, from, to } of steps) {
      if (from === undefined || to === undefined || (id !== asked && !rehearsals.isNeeded(id))) continue;
      await rehearsals.assertSame(id, await this.deps.store.unpack(id, to));
    }
  }

  /** Only a version that needs nothing else changed can be tried beside the running one. */
  async #try(steps: readonly PlanStep[], spec: CanarySpec, swap: SwapOptions): Promise<CanaryView> {
    const [step, ...others] = steps;
    if (!step?.to) throw new AtollError('CONFLICT', 'There is no newer version.');
    if (others.length > 0) {
      const names = steps.map(({ id }) => id).join(', ');
      throw new AtollError('CONFLICT', `A canary is of one plugin, and ${names} would have to change together.`);
    }
    const { id, to } = step;
    const folder = await this.deps.store.unpack(id, to);
    return this.deps.manager.canaries.start(id, {
      folder,
      spec,
      swap,
      commit: () => this.deps.installations.save(new Map([[id, to]]), new Date(), swap.discardState ?? false),
      inTurn: (task) => this.deps.changes(task),
    });
  }

  #plan(request: Partial<Parameters<typeof resolve>[0]>): ResolutionPlan {
    return resolve({
      kernel: KERNEL_VERSION,
      installed: this.deps.manager.manifests(),
      candidates: this.#candidates(),
      ...request,
    });
  }

  /** What could be installed. What `allow` names may be chosen although it was yanked. */
  #candidates(allow: (candidate: { id: string; version: string }) => boolean = () => false) {
    return candidatesOf(this.deps.store.catalogue.versions()).map(({ excluded, ...candidate }) =>
      excluded === undefined || allow(candidate) ? candidate : { ...candidate, excluded },
    );
  }

  /** Everything is unpacked and checked before anything is touched; the rows are written when all of it runs. */
  async #apply(steps: readonly PlanStep[], swap: SwapOptions): Promise<void> {
    const changes: PluginChange[] = [];
    const rows = new Map<string, string | undefined>();
    for (const { id, to } of steps) {
      rows.set(id, to);
      changes.push(to === undefined ? { id } : { id, folder: await this.deps.store.unpack(id, to) });
    }
    const { installations } = this.deps;
    const commit = () => installations.save(rows, new Date(), swap.discardState ?? false);
    await this.deps.manager.change(changes, commit, swap);
  }

  #assertInstalled(id: string): void {
    if (!this.deps.manager.get(id)) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
  }

  async #need(id: string): Promise<Installation> {
    this.#assertInstalled(id);
    const installed = await this.deps.installations.get(id);
    if (!installed)
      throw new AtollError(
        'VERSION_NOT_FOUND',
        `"${id}" comes from a folder; only versions of the registry can be rolled back.`,
      );
    return installed;
  }
}
