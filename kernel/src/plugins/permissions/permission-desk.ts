import { AtollError, type ErrorCode } from '@atoll/plugin-sdk/contract';
import type { PluginManifest } from '@atoll/registry';
import { afterCommit } from '../../database/index.js';
import type { EventBus } from '../../events/index.js';
import type { IdentityChanges } from '../../identity/changes.js';
import { type Grant, parseGrants } from '../../net/index.js';
import { effective, type Narrowing, narrowed, problemsOf, type SetProblem } from './narrow.js';
import { askedBy, type PermissionSet, toTexts } from './permission-set.js';
import type { PermissionStore } from './permission-store.js';
import { Permits, type Use } from './permits.js';
import { leastSet } from './proposal.js';
import { type UseCount, UseCounts } from './usage.js';

export interface PermissionDeskDeps {
  store: PermissionStore;
  events: EventBus;
  /** Made when it is first needed. */
  changes: () => IdentityChanges;
  /** A plugin asked for what it may not. */
  onRefused: (plugin: string, use: Use, code: ErrorCode) => void;
  onProblem: (error: unknown) => void;
}

/** A plugin's permissions as the API shows them. */
export interface PermissionView {
  /** By its manifest. */
  asked: PermissionSet;
  /** What it has. */
  granted: PermissionSet;
  /** What the operator has left it, or null. */
  narrowed: PermissionSet | null;
  observing: boolean;
  /** Refused host calls since the start of the kernel. */
  refused: number;
}

export interface UsageView {
  observing: boolean;
  since?: string;
  used: UseCount[];
  /** Uses of entries that were too many to be kept apart. */
  usedOthers: number;
  refused: UseCount[];
  refusedOthers: number;
  /** What covers all that was used: a body for PUT. Null when nothing was observed. */
  proposal: PermissionSet | null;
}

interface Entry {
  narrowing?: Narrowing;
  observing?: string;
  used: UseCounts;
  unsaved: boolean;
  refused: UseCounts;
  readonly permits: Set<Permits>;
}

const SAVE_MS = 30_000;
/** Different refusals told apart of one plugin: each may leave an entry in the audit trail every few seconds. */
const MAX_REFUSED = 30;

/** Who may what, of plugins: what operators have narrowed, what was used, and what was refused. A change holds at the next call. */
export class PermissionDesk {
  readonly #entries = new Map<string, Entry>();
  #timer: NodeJS.Timeout | undefined;
  #unsubscribe: (() => void) | undefined;
  #reloading: Promise<void> = Promise.resolve();

  constructor(private readonly deps: PermissionDeskDeps) {}

  /** Before the first plugin starts: none may have for a moment what was taken from it. */
  async start(): Promise<void> {
    await this.#load();
    this.#unsubscribe = this.deps.changes().onChange((subject) => {
      if (subject.startsWith('permissions:')) this.#reload(subject.slice('permissions:'.length));
    });
    this.#timer = setInterval(() => void this.save(), SAVE_MS).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#unsubscribe?.();
    await this.#reloading;
    await this.save();
  }

  /** What a version that is about to start may do. To be released with it. */
  issue(manifest: PluginManifest, parseNet: (entries: readonly string[]) => Grant[]): Permits {
    const { id } = manifest;
    const entry = this.#entry(id);
    const permits: Permits = new Permits(manifest, {
      parseNet,
      narrowing: entry.narrowing,
      onUse: (use) => this.#used(entry, use),
      onRefused: (use, code) => this.#refused(id, entry, use, code),
      release: () => entry.permits.delete(permits),
    });
    entry.permits.add(permits);
    return permits;
  }

  view(manifest: PluginManifest): PermissionView {
    const { narrowing, observing, refused } = this.#entry(manifest.id);
    const asked = askedBy(manifest);
    return {
      asked,
      granted: effective(asked, narrowing),
      narrowed: narrowing?.granted ?? null,
      observing: observing !== undefined,
      refused: refused.total,
    };
  }

  /** Leaves the plugin this much of what it asks for; without a set, all of it. Throws VALIDATION_FAILED that names what goes beyond. */
  async narrow(manifest: PluginManifest, set: PermissionSet | undefined): Promise<PermissionView> {
    const { id } = manifest;
    const asked = askedBy(manifest);
    const errors = set ? [...problemsOf(set, asked), ...originProblems(set)] : [];
    if (errors.length > 0) {
      const list = errors.map(({ pointer, message }) => `${pointer} ${message}`).join('; ');
      throw new AtollError('VALIDATION_FAILED', `"${id}" can't be granted that: ${list}.`, { errors });
    }
    const entry = this.#entry(id);
    const narrowing = set && narrowed(asked, set, entry.narrowing);
    const [before, after] = [effective(asked, entry.narrowing), effective(asked, narrowing)];
    const changes = this.deps.changes();
    changes.note({ target: `plugin:${id}`, before: toTexts(before), after: toTexts(after) });
    await changes.apply(`permissions:${id}`, async () => {
      await this.deps.store.setNarrowing(id, narrowing);
      // Whoever hears of it finds it so.
      afterCommit(() => this.#hold(id, narrowing));
      await this.deps.events.record('plugin.permissions.changed', { id, granted: toTexts(after) });
    });
    return this.view(manifest);
  }

  /** Begins or ends to record what it uses. It does not get more by that: what is refused stays refused. */
  async observe(manifest: PluginManifest, on: boolean): Promise<PermissionView> {
    const { id } = manifest;
    const entry = this.#entry(id);
    if (on === (entry.observing !== undefined)) return this.view(manifest);
    const since = on ? new Date().toISOString() : undefined;
    const changes = this.deps.changes();
    changes.note({ target: `plugin:${id}`, before: { observe: !on }, after: { observe: on } });
    // What was used until now is kept with the end of it.
    if (!on) await this.#saveOne(id, entry);
    await changes.apply(`permissions:${id}`, () => this.deps.store.setObserving(id, since));
    if (since === undefined) delete entry.observing;
    else {
      entry.observing = since;
      entry.used = new UseCounts();
    }
    return this.view(manifest);
  }

  /** `registered` is what it has registered and may use at any time, such as listeners that wait. */
  usage(
    manifest: PluginManifest,
    registered: readonly Use[],
    parseNet: (entries: readonly string[]) => Grant[],
  ): UsageView {
    const { observing, used, refused } = this.#entry(manifest.id);
    const list = used.list();
    const waiting = registered.filter(
      ({ kind, value }) => !list.some((one) => one.kind === kind && one.value === value),
    );
    const needed = [...list, ...waiting.map((use) => ({ ...use, count: 0, last: '' }))];
    const observed = observing !== undefined || list.length > 0;
    return {
      observing: observing !== undefined,
      ...(observing !== undefined && { since: observing }),
      used: list,
      usedOthers: used.others,
      refused: refused.list(),
      refusedOthers: refused.others,
      proposal: observed ? leastSet(askedBy(manifest), needed, parseNet) : null,
    };
  }

  async save(): Promise<void> {
    for (const [id, entry] of this.#entries) await this.#saveOne(id, entry);
  }

  async #saveOne(id: string, entry: Entry): Promise<void> {
    if (!entry.unsaved) return;
    entry.unsaved = false;
    await this.deps.store.setUsage(id, entry.used.list()).catch((error) => {
      entry.unsaved = true;
      this.deps.onProblem(error);
    });
  }

  #used(entry: Entry, { kind, value }: Use): void {
    if (entry.observing === undefined) return;
    entry.used.add(kind, value);
    entry.unsaved = true;
  }

  #refused(id: string, { refused }: Entry, { kind, value }: Use, code: ErrorCode): void {
    // What a plugin names is its own: only so many of its names go into the audit trail.
    const kept = refused.add(kind, value);
    this.deps.onRefused(id, kept ? { kind, ...(value !== undefined && { value }) } : { kind }, code);
  }

  #hold(id: string, narrowing: Narrowing | undefined): void {
    const entry = this.#entry(id);
    if (narrowing) entry.narrowing = narrowing;
    else delete entry.narrowing;
    for (const permits of entry.permits) permits.change(narrowing);
  }

  #entry(id: string): Entry {
    const known = this.#entries.get(id);
    if (known) return known;
    const made: Entry = {
      used: new UseCounts(),
      unsaved: false,
      refused: new UseCounts([], MAX_REFUSED),
      permits: new Set(),
    };
    this.#entries.set(id, made);
    return made;
  }

  async #load(): Promise<void> {
    for (const [id, { narrowing, observing, usage }] of await this.deps.store.load()) {
      const entry = this.#entry(id);
      entry.used = new UseCounts(usage);
      if (observing !== undefined) entry.observing = observing;
      this.#hold(id, narrowing);
    }
  }

  /** Another node, or this one, has changed it. */
  #reload(id: string): void {
    const reload = async () => {
      const stored = (await this.deps.store.load(id)).get(id);
      const entry = this.#entry(id);
      if (stored?.observing === undefined) delete entry.observing;
      else if (entry.observing === undefined) entry.observing = stored.observing;
      this.#hold(id, stored?.narrowing);
    };
    this.#reloading = this.#reloading.then(reload).catch(this.deps.onProblem);
  }
}

/** What looks like a part of what is asked for may be no origin, such as an URL with a path. */
function originProblems({ net }: PermissionSet): SetProblem[] {
  return net.flatMap((entry, at) => {
    try {
      parseGrants({ plugin: '', entries: [entry], config: {} });
      return [];
    } catch (error) {
      return [{ pointer: `/net/${at}`, message: error instanceof Error ? error.message : 'is no origin' }];
    }
  });
}
