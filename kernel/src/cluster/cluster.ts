import path from 'node:path';
import type { Redis } from 'ioredis';
import type { Config } from '../config/index.js';
import { Membership, type MembershipDeps } from './membership.js';
import type { NodeView } from './node-registry.js';
import type { PackageName } from './package-sharing.js';
import { identifySelf, type Self } from './self.js';
import { Turns } from '../turns.js';

export interface ClusterDeps extends Omit<MembershipDeps, 'heartbeatMs'> {
  config: Config;
  redis: Redis | undefined;
}

/** What health depends on, beside what each part says itself. */
export interface ClusterHealth {
  /** Why this node should get no requests. */
  unfit?: string;
  /** What it does without, by name. */
  degraded: Record<string, string>;
}

/** The nodes of the installation: one on the embedded database, any number on a PostgreSQL server. */
export class Cluster {
  readonly #turns = new Turns();
  #self: Self | undefined;
  #membership: Membership | undefined;
  #started = false;

  constructor(private readonly deps: ClusterDeps) {}

  /** Of this node. */
  get id(): string {
    return this.#self!.id;
  }

  /** When the database is open and before plugins are looked for. */
  async join(address: string): Promise<void> {
    const { config, database } = this.deps;
    const self = await identifySelf(path.resolve(config.server.dataDir), config.node.id);
    self.address = config.node.address ?? address;
    this.#self = self;
    if (database.engine === 'embedded') return;
    const membership = new Membership(self, { ...this.deps, heartbeatMs: config.node.heartbeatMs });
    await membership.join();
    this.#membership = membership;
  }

  /** When plugins are started; with why some of the registry could not be, by `id@version`. */
  async started(reasons: ReadonlyMap<string, string>): Promise<void> {
    await this.#membership?.started(reasons);
    this.#started = true;
  }

  async leave(): Promise<void> {
    await this.#membership?.leave();
  }

  /** Runs a change of what all nodes run: one at a time, on one of them. */
  change<T>(work: () => Promise<T>): Promise<T> {
    return this.#membership ? this.#membership.change(work) : this.#turns.run(work);
  }

  /** The same for a change of the packages that can be installed; `removed` is the one that it removes. */
  changePackages<T>(work: () => Promise<T>, removed?: PackageName): Promise<T> {
    return this.#membership ? this.#membership.changePackages(work, removed) : this.#turns.run(work);
  }

  /** Begins a new generation, in the transaction that makes it. */
  async advance(): Promise<number> {
    return this.#membership ? this.#membership.advance() : 0;
  }

  get health(): ClusterHealth {
    const unfit = this.#membership?.unfit;
    const { redis } = this.deps;
    const lost = 'Redis is lost: rate limits are counted, and events delivered, on each node alone.';
    return {
      ...(unfit !== undefined && { unfit }),
      degraded: redis && redis.status !== 'ready' ? { redis: lost } : {},
    };
  }

  async list(page: { limit: number; after?: string | undefined }): Promise<NodeView[]> {
    if (this.#membership) return this.#membership.registry.list(page);
    const self = this.#alone();
    return page.after === undefined || self.id > page.after ? [self] : [];
  }

  async get(id: string): Promise<NodeView | undefined> {
    if (this.#membership) return this.#membership.registry.get(id);
    const self = this.#alone();
    return self.id === id ? self : undefined;
  }

  /** Nodes that do not run what they should, this plugin or another; none as long as nobody can tell. */
  async behind(plugin: string): Promise<NodeView[]> {
    return (await this.#membership?.registry.behind(plugin).catch(() => [])) ?? [];
  }

  #alone(): NodeView {
    const { incarnation: _, startedAt, ...self } = this.#self!;
    return {
      ...self,
      startedAt: startedAt.toISOString(),
      lastSeenAt: new Date().toISOString(),
      state: this.#started ? 'ready' : 'starting',
      generation: 0,
      converged: true,
      problems: [],
    };
  }
}
