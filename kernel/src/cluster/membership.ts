import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PackageStore } from '@atoll/registry';
import type { MasterKey } from '../auth/index.js';
import { type Database, DatabaseListener, LeaseClock } from '../database/index.js';
import type { Installer } from '../marketplace/installer.js';
import type { PluginManager } from '../plugins/manager.js';
import type { DesiredStateStore } from '../plugins/state-store.js';
import type { Logger } from '../telemetry/logger.js';
import { ChangeLease } from './change-lease.js';
import { Convergence } from './convergence.js';
import { CHANNEL, Generations, type Standing } from './generations.js';
import { assertSameMasterKey } from './key-check.js';
import { NodeRegistry, type NodeState } from './node-registry.js';
import { type PackageName, PackageSharing } from './package-sharing.js';
import type { RedisTransport } from './redis-transport.js';
import type { Self } from './self.js';
import { Turns } from '../turns.js';

export interface MembershipDeps {
  database: Database;
  heartbeatMs: number;
  transport: RedisTransport | undefined;
  master: () => MasterKey;
  store: () => PackageStore;
  states: () => DesiredStateStore;
  installer: () => Installer;
  manager: () => PluginManager;
  log: Logger;
}

/** How often the number of the generation is looked at, should nobody have told of a new one. */
const LOOK_MS = 1_000;
const FORGET_BEATS = 30;
const FAILED: ReadonlySet<string> = new Set(['failed', 'quarantined']);

/** This kernel's part among the nodes of one PostgreSQL server: heartbeats, and doing what the others have decided. */
export class Membership {
  readonly registry: NodeRegistry;
  readonly #lease: ChangeLease;
  readonly #generations: Generations;
  readonly #sharing: PackageSharing;
  readonly #convergence: Convergence;
  readonly #listener: DatabaseListener;
  readonly #timers: NodeJS.Timeout[] = [];
  #standing: Standing = { generation: 0, packages: 0 };
  #state: NodeState = 'starting';
  #superseded = false;
  #beats = 0;
  readonly #beating = new Turns();
  /** Of the events of others: as far as it was read one beat ago, so that listeners have had their time. */
  #handled: string | undefined;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #unsubscribe = () => {};

  constructor(
    private readonly self: Self,
    private readonly deps: MembershipDeps,
  ) {
    const { database, log } = deps;
    const store = deps.store();
    const clock = new LeaseClock(database);
    this.registry = new NodeRegistry(database, clock, self, deps.heartbeatMs);
    this.#lease = new ChangeLease(database, clock, self);
    this.#generations = new Generations(database, this.#lease);
    this.#sharing = new PackageSharing({ database, store, generations: this.#generations, log });
    this.#convergence = new Convergence({
      ...deps,
      store,
      states: deps.states(),
      generations: this.#generations,
      sharing: this.#sharing,
    });
    this.#listener = new DatabaseListener(database, {
      name: 'atoll nodes',
      channel: CHANNEL,
      log,
      onMessage: () => this.#look(),
      onConnected: () => this.#look(),
    });
  }

  /** Before plugins are looked for: what they are is read after this. Throws MASTER_KEY_WRONG or CONFIG_INVALID. */
  async join(): Promise<void> {
    const { database, transport, master } = this.deps;
    await assertSameMasterKey(database, master(), this.self.id);
    const position = await this.registry.join();
    const [row] = await database.query<{ installation: string }>('select installation from cluster.state');
    await transport?.start({ installation: row!.installation, node: this.self.id, position });
    this.#standing = await this.#generations.repair();
    await this.#sharing.pull();
    this.#repeat(this.deps.heartbeatMs, () => this.#beat());
  }

  /** Plugins are started; `reasons` has what could not be, by `id@version`. */
  async started(reasons: ReadonlyMap<string, string>): Promise<void> {
    await this.#convergence.started(this.#standing, reasons);
    this.deps.transport?.listen();
    this.#state = 'ready';
    this.#repeat(LOOK_MS, async () => this.#look());
    this.#unsubscribe = this.deps.store().subscribe(() => void this.#share());
    await this.#beat();
    await this.#listener.start();
    void this.#share();
  }

  async leave(): Promise<void> {
    this.#state = 'stopping';
    this.#unsubscribe();
    for (const timer of this.#timers) clearInterval(timer);
    await this.#listener.close();
    await this.#looking;
    // A heartbeat that is under way would say that it lives.
    await this.#beating.idle();
    await this.registry.leave(this.deps.transport?.position).catch(() => {});
  }

  /** Changes what all nodes run, see `Changes`. Throws CONFLICT where that can't be done now. */
  change<T>(work: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      try {
        const result = await work();
        await this.#convergence.noteOwn().catch(() => this.#convergence.doubt());
        return result;
      } catch (error) {
        this.#convergence.doubt();
        throw error;
      } finally {
        void this.#beat();
      }
    });
  }

  /** The same for packages: what is published here all of them get, and what is removed they lose. */
  changePackages<T>(work: () => Promise<T>, removed?: PackageName): Promise<T> {
    return this.#inTurn(async () => {
      const result = await work();
      await this.#sharing.push();
      if (removed) await this.#sharing.withdraw(removed);
      return result;
    });
  }

  advance(): Promise<number> {
    return this.#generations.advance();
  }

  /** Why this node should get no requests, in words. */
  get unfit(): string | undefined {
    if (this.#superseded) return `Another process has taken the place of the node ${this.self.id}.`;
    if (this.#state !== 'fenced') return undefined;
    const list = Object.entries(this.#convergence.problems).map(([id, reason]) => `${id}: ${reason}`);
    return `This node does not run what the others do. ${list.join(' ')}`;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    return this.#lease.run(async () => {
      await this.#convergence.catchUp();
      this.#assertFit();
      return work();
    });
  }

  #assertFit(): void {
    if (this.unfit !== undefined) throw new AtollError('CONFLICT', `${this.unfit} Ask another node.`);
  }

  /** Looks for what others have changed, soon. */
  #look(): void {
    this.#lookAgain = true;
    this.#looking ??= this.#lookWhileNeeded().finally(() => {
      this.#looking = undefined;
    });
  }

  async #lookWhileNeeded(): Promise<void> {
    while (this.#lookAgain && this.#state !== 'stopping') {
      this.#lookAgain = false;
      const before = this.#generations.seen;
      try {
        await this.#lease.alone(() => this.#convergence.catchUp());
      } catch (error) {
        this.deps.log.debug({ err: error }, 'what other nodes have changed can not be read');
        return;
      }
      if (this.#generations.seen !== before) await this.#beat();
    }
  }

  /** What others do not have yet, however it came into the store. */
  async #share(): Promise<void> {
    if (this.#state === 'stopping' || !this.#sharing.hasNews) return;
    await this.changePackages(async () => {}).catch((error) =>
      this.deps.log.debug({ err: error }, 'packages could not be shared with other nodes; it is tried again'),
    );
  }

  #beat(): Promise<void> {
    return this.#beating.run(() => this.#beatOnce());
  }

  async #beatOnce(): Promise<void> {
    if (this.#state === 'stopping') return;
    try {
      await this.registry.catchUpWithClock();
      await this.#lease.renew();
      await this.#judge();
      const alive = await this.registry.beat({
        state: this.#state,
        generation: this.#generations.acknowledged,
        problems: { ...troubles(this.deps.manager()), ...this.#convergence.problems },
        position: this.#handled,
      });
      if (!alive && !this.#superseded)
        this.deps.log.error({ node: this.self.id }, 'another process has this node’s place');
      this.#superseded = !alive;
      this.#handled = this.deps.transport?.position;
      if (this.#beats++ % FORGET_BEATS === 0) await this.registry.forgetDead();
    } catch (error) {
      this.deps.log.debug({ err: error }, 'no heartbeat could be written');
    }
  }

  /** A node that can't follow leaves the rotation; but not when there is nobody who could do better. */
  async #judge(): Promise<void> {
    if (this.#state === 'starting' || this.#state === 'stopping') return;
    const fenced = !this.#convergence.complete && (await this.registry.otherIsAt(this.#generations.seen));
    const state = fenced ? 'fenced' : 'ready';
    if (state !== this.#state) this.deps.log.warn({ state, problems: this.#convergence.problems }, 'this node');
    if (this.#state === 'ready' || this.#state === 'fenced') this.#state = state;
  }

  #repeat(ms: number, work: () => Promise<void>): void {
    let busy = false;
    const timer = setInterval(() => {
      if (busy) return;
      busy = true;
      void work().finally(() => {
        busy = false;
      });
    }, ms);
    this.#timers.push(timer.unref());
  }
}

/** Plugins that should run here and do not: told to others, though every node may have them. */
function troubles(manager: PluginManager): Record<string, string> {
  const failed = manager.list().filter(({ desired, state }) => desired === 'enabled' && FAILED.has(state));
  return Object.fromEntries(
    failed.map(({ id, state, reason }) => [id, `It is ${state}${reason === undefined ? '.' : `: ${reason}`}`]),
  );
}
