import { AtollError } from '@atoll/plugin-sdk/contract';
import type { EventBus } from '../../events/index.js';
import type { RouteTable } from '../../http/route-table.js';
import type { PluginRecord } from '../record.js';
import type { Reconciler } from '../reconciler.js';
import { Canary, type CanaryPlan } from './canary.js';
import type { CanaryStore } from './canary-store.js';
import type { CanaryState, CanaryView } from './canary-view.js';

export interface CanariesDeps {
  store: CanaryStore;
  events: EventBus;
  routes: RouteTable;
  /** What happened without anybody's asking for it, for the audit trail. */
  onDeed: (action: string, plugin: string, after: object) => void;
  onProblem: (plugin: string, message: string, error: unknown) => void;
}

type End = Exclude<CanaryState, 'running'>;

/**
 * New versions that are tried beside the running one: some of its calls go to them. They get routes, services and channels; listeners,
 * jobs, schedules and the state of the running version stay with that one until the promotion, which is a swap like any other.
 */
export class Canaries {
  /** Ends that are still to be written. */
  #writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly reconciler: Reconciler,
    private readonly deps: CanariesDeps,
  ) {}

  /** At the start: what ran when the kernel ended is over; the version that is installed runs. */
  async restore(): Promise<void> {
    for (const kept of await this.deps.store.list()) {
      const record = this.reconciler.records.get(kept.id);
      if (kept.state !== 'running') {
        if (record) record.lastCanary = kept;
        continue;
      }
      const over: CanaryView = { ...kept, ...endOf(kept, record), endedAt: new Date().toISOString() };
      if (record) record.lastCanary = over;
      await this.#save(over);
      this.#note(over, true);
    }
  }

  /** Throws NOT_FOUND when there never was one. */
  view(id: string): CanaryView {
    const record = this.#need(id);
    const view = record.canary?.view() ?? record.lastCanary;
    if (!view)
      throw new AtollError('NOT_FOUND', `"${id}" has no canary. \`atoll upgrade ${id} --canary 10%\` starts one.`);
    return view;
  }

  /** Starts a version beside the running one. When that fails, nothing has changed. */
  start(id: string, plan: CanaryPlan): Promise<CanaryView> {
    return this.reconciler.exclusive(async () => {
      const record = this.#need(id);
      assertNoCanary(record);
      if (!record.instance)
        throw new AtollError('CONFLICT', `"${id}" is ${record.state}; a canary needs a version that runs.`);
      const candidate = await this.reconciler.launchBeside(record, plan.folder);
      const running = record.instance;
      try {
        const routes = this.deps.routes.separate(id, candidate.routes);
        if (!running?.live || !candidate.live)
          throw new AtollError('PLUGIN_CRASHED', 'One of the two versions ended meanwhile.');
        const canary = new Canary(running, candidate, plan, {
          promote: (one, reason) => void this.#promote(record, one, reason, true).catch(() => {}),
          rollBack: (one, reason) => this.#end(record, one, 'rolled-back', reason, true),
        });
        record.canary = canary;
        this.deps.routes.canaries.set(id, { routes, takes: (caller) => canary.takes(caller), live: () => canary.live });
      } catch (error) {
        await candidate.stop();
        throw error;
      }
      const view = record.canary!.view();
      await this.#write(view);
      this.#note(view, false);
      return view;
    });
  }

  /** Puts the candidate in the place of the running version. Rejects when it can't be; it is rolled back then. */
  async promote(id: string): Promise<CanaryView> {
    const record = this.#need(id);
    await this.#promote(record, this.#running(record), 'It was promoted by hand.', false);
    return record.lastCanary!;
  }

  async abort(id: string): Promise<CanaryView> {
    const record = this.#need(id);
    const canary = this.#running(record);
    if (canary.promoting) throw new AtollError('CONFLICT', `The canary of "${id}" is being promoted.`);
    this.#end(record, canary, 'aborted', 'It was aborted by hand.', false);
    await this.#writing;
    return record.lastCanary!;
  }

  /** The kernel ends: none goes on. */
  async close(): Promise<void> {
    for (const { canary } of this.reconciler.records.values()) canary?.rollBack('The kernel was stopped.');
    await this.#writing;
  }

  #promote(record: PluginRecord, canary: Canary, reason: string, byRule: boolean): Promise<void> {
    if (canary.promoting) throw new AtollError('CONFLICT', `The canary of "${canary.id}" is being promoted.`);
    canary.promoting = true;
    return canary.plan.inTurn(() =>
      this.reconciler.exclusive(async () => {
        if (record.canary !== canary) throw new AtollError('CONFLICT', `The canary of "${canary.id}" is over.`);
        try {
          await this.#exchange(record, canary);
        } catch (error) {
          const why = error instanceof Error ? error.message : String(error);
          this.#end(record, canary, 'rolled-back', `It could not be promoted: ${why}`, byRule);
          throw error;
        } finally {
          await this.reconciler.reconcile();
        }
        this.#end(record, canary, 'promoted', reason, byRule);
        await this.#writing;
      }),
    );
  }

  async #exchange(record: PluginRecord, canary: Canary): Promise<void> {
    const before = record.folder;
    const { plan, candidate } = canary;
    await this.reconciler.exchange(record, plan.folder, candidate, plan.swap);
    try {
      await plan.commit();
    } catch (error) {
      this.#detach(record, canary);
      this.reconciler.tellSwapped([await this.reconciler.swap(record, before)]);
      throw error;
    }
  }

  #detach(record: PluginRecord, canary: Canary): void {
    if (record.canary === canary) delete record.canary;
    this.deps.routes.canaries.delete(canary.id);
  }

  /** Nothing waits in here: from one moment to the next, all calls go to the version that stays. */
  #end(record: PluginRecord, canary: Canary, state: End, reason: string, byItself: boolean): void {
    // One of the two may end while one takes the place of the other.
    if (canary.over) return;
    canary.end(state, reason);
    this.#detach(record, canary);
    const { candidate } = canary;
    if (record.instance !== candidate && candidate.live) {
      candidate.withdraw();
      void this.reconciler.retire(record, candidate);
    }
    const view = canary.view();
    record.lastCanary = view;
    void this.#write(view);
    this.#note(view, byItself);
  }

  #write(view: CanaryView): Promise<void> {
    this.#writing = this.#writing
      .then(() => this.#save(view))
      .catch((error) => {
        this.deps.onProblem(view.id, 'a canary could not be recorded', error);
        // So it is all the same.
        this.deps.events.emit(topicOf(view), told(view));
      });
    return this.#writing;
  }

  #save(view: CanaryView): Promise<void> {
    const { events, store } = this.deps;
    return events.together(async () => {
      await store.save(view);
      await events.record(topicOf(view), told(view));
    });
  }

  #note(view: CanaryView, byItself: boolean): void {
    const { id, state, running, candidate } = view;
    if (byItself) this.deps.onDeed(`plugins.canary.${state}`, id, { ...told(view), running, candidate });
  }

  #running(record: PluginRecord): Canary {
    if (record.canary) return record.canary;
    throw new AtollError('CONFLICT', `No canary of "${record.folder.manifest.id}" runs.`);
  }

  #need(id: string): PluginRecord {
    const record = this.reconciler.records.get(id);
    if (!record) throw new AtollError('PLUGIN_NOT_FOUND', `There is no plugin "${id}".`);
    return record;
  }
}

const topicOf = ({ state }: CanaryView): string => `plugin.canary.${state === 'running' ? 'started' : state}`;

const told = ({ id, from, to, reason }: CanaryView) => ({ id, from, to, ...(reason !== undefined && { reason }) });

/** The kernel may have ended between the promotion and its being told. */
function endOf({ to }: CanaryView, record: PluginRecord | undefined): { state: End; reason: string } {
  return record?.folder.manifest.version === to
    ? { state: 'promoted', reason: 'It had been promoted when the kernel was restarted.' }
    : { state: 'rolled-back', reason: 'The kernel was restarted; the running version goes on.' };
}

/** While a canary runs, nothing else changes its plugin. Throws CONFLICT. */
export function assertNoCanary({ canary }: PluginRecord): void {
  if (!canary) return;
  const { id, to } = canary.view();
  throw new AtollError(
    'CONFLICT',
    `${id}@${to} runs as a canary: promote or abort it first (\`atoll plugins canary ${id}\`).`,
  );
}
