import { AtollError } from '@atoll/plugin-sdk/contract';
import type { PackageStore, StoredVersion } from '@atoll/registry';
import type { Database } from '../database/index.js';
import type { Logger } from '../telemetry/logger.js';
import type { Generations } from './generations.js';

/** A version as the nodes share it; without a tarball it was removed. */
interface SharedVersion {
  plugin: string;
  version: string;
  integrity: string;
  origin: StoredVersion['origin'];
  source: string | null;
  channel: StoredVersion['channel'];
  yanked: string | null;
  removed: boolean;
  changed: string;
}

export interface PackageSharingDeps {
  database: Database;
  store: PackageStore;
  generations: Generations;
  log: Logger;
}

/** A version of a plugin. */
export interface PackageName {
  id: string;
  version: string;
}

const nameOf = (id: string, version: string): string => `${id}@${version}`;

/**
 * Keeps the package stores of all nodes alike, by way of the database. What comes from another node is checked as anything else that is
 * published here; a store that does not trust it does not take it.
 */
export class PackageSharing {
  #pulled = 0;
  readonly #shared = new Map<string, Pick<SharedVersion, 'integrity' | 'yanked' | 'removed'>>();
  readonly #refused = new Map<string, string>();

  constructor(private readonly deps: PackageSharingDeps) {}

  /** Why this node does not have a version that others have. */
  problemOf(id: string, version: string): string | undefined {
    return this.#refused.get(nameOf(id, version));
  }

  /** Whether there is something that could not be taken in. */
  get incomplete(): boolean {
    return this.#refused.size > 0;
  }

  /** Takes in what others have published, yanked and removed; what was refused is tried again. */
  async pull(): Promise<void> {
    const { database, store } = this.deps;
    await store.refresh();
    const rows = await database.query<SharedVersion>(
      `select plugin, version, integrity, origin, source, channel, yanked, tarball is null as removed, changed
         from cluster.package where changed > $1 or plugin || '@' || version = any($2) order by changed`,
      [this.#pulled, [...this.#refused.keys()]],
    );
    for (const row of rows) {
      const name = nameOf(row.plugin, row.version);
      this.#shared.set(name, row);
      this.#pulled = Math.max(this.#pulled, Number(row.changed));
      try {
        await this.#take(row);
        this.#refused.delete(name);
      } catch (error) {
        this.#refuse(name, error);
      }
    }
  }

  /** Shares what others do not have yet, and what was done to it; only with the right to change what is installed. */
  async push(): Promise<void> {
    await this.deps.store.refresh();
    const { offered, marked } = this.#news();
    for (const version of offered) await this.#offer(version);
    for (const version of marked) await this.#mark(version);
  }

  /** Takes a version away from all nodes. Only on purpose: a store that has lost something must not take it from the others. */
  async withdraw({ id, version }: PackageName): Promise<void> {
    const name = nameOf(id, version);
    const known = this.#shared.get(name);
    if (!known) return;
    await this.#write(
      'update cluster.package set changed = $1, tarball = null, yanked = null where plugin = $2 and version = $3',
      [id, version],
    );
    this.#shared.set(name, { ...known, yanked: null, removed: true });
  }

  /** Whether this store has what others have not heard of. */
  get hasNews(): boolean {
    return Object.values(this.#news()).some(({ length }) => length > 0);
  }

  #news(): { offered: StoredVersion[]; marked: StoredVersion[] } {
    const all = this.deps.store.catalogue.versions();
    const known = (one: StoredVersion) => this.#shared.get(nameOf(one.id, one.version));
    const whole = all.filter(({ damaged, quarantined }) => !damaged && !quarantined);
    return {
      offered: whole.filter((one) => known(one)?.removed ?? true),
      marked: whole.filter((one) => {
        const shared = known(one);
        return (
          shared?.integrity === one.integrity && !shared.removed && (shared.yanked ?? undefined) !== one.yanked?.reason
        );
      }),
    };
  }

  async #take({ plugin, version, integrity, origin, source, channel, yanked, removed }: SharedVersion): Promise<void> {
    const { store, database } = this.deps;
    const local = store.catalogue.version(plugin, version);
    if (removed) return local && store.remove(plugin, version);
    if (local && local.integrity !== integrity)
      throw new AtollError('VERSION_EXISTS', `${plugin}@${version} has other content here than on the other nodes.`);
    if (!local || local.damaged) {
      const [row] = await database.query<{ tarball: Buffer | null }>(
        'select tarball from cluster.package where plugin = $1 and version = $2',
        [plugin, version],
      );
      if (!row?.tarball) return;
      await store.publish(row.tarball, {
        expected: { id: plugin, version, integrity },
        origin,
        channel,
        backport: true,
        ...(source !== null && { source }),
      });
    }
    const reason = store.catalogue.version(plugin, version)?.yanked?.reason;
    if (yanked !== null && reason !== yanked) await store.yank(plugin, version, yanked);
    if (yanked === null && reason !== undefined) await store.unyank(plugin, version);
  }

  async #offer({ id, version, integrity, origin, source, channel, yanked }: StoredVersion): Promise<void> {
    const tarball = await this.deps.store.tarball(id, version);
    await this.#write(
      `insert into cluster.package as p (changed, plugin, version, integrity, tarball, origin, source, channel, yanked)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
       on conflict (plugin, version) do update set tarball = excluded.tarball, yanked = excluded.yanked, changed = excluded.changed
        where p.integrity = excluded.integrity`,
      [id, version, integrity, tarball, origin, source ?? null, channel, yanked?.reason ?? null],
    );
    this.#shared.set(nameOf(id, version), { integrity, yanked: yanked?.reason ?? null, removed: false });
  }

  async #mark({ id, version, integrity, yanked }: StoredVersion): Promise<void> {
    const reason = yanked?.reason ?? null;
    await this.#write('update cluster.package set changed = $1, yanked = $4 where plugin = $2 and version = $3', [
      id,
      version,
      reason,
    ]);
    this.#shared.set(nameOf(id, version), { integrity, yanked: reason, removed: false });
  }

  /** One numbered change; `$1` is its number. */
  async #write(sql: string, parameters: unknown[]): Promise<void> {
    const { database, generations } = this.deps;
    await database.transaction(async () => {
      const number = await generations.advancePackages();
      await database.query(sql, [number, ...parameters]);
    });
  }

  #refuse(name: string, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#refused.get(name) !== reason)
      this.deps.log.warn({ package: name, reason }, 'a package of another node is not taken in');
    this.#refused.set(name, reason);
  }
}
