import type { Database } from '../database/index.js';
import { PluginStateEntity } from './plugin-state-entity.js';

export interface DesiredState {
  desired: 'enabled' | 'disabled';
  /** Values the operator set through the API, over those of the configuration files. */
  config?: Record<string, unknown>;
}

/** Where the operator's wishes are kept. */
export interface DesiredStateStore {
  load(): Promise<Map<string, DesiredState>>;
  /** Keeps these; what is stored of other plugins stays. */
  save(states: ReadonlyMap<string, DesiredState>): Promise<void>;
}

/** In the database. */
export class DatabaseStateStore implements DesiredStateStore {
  constructor(private readonly database: Database) {}

  load(): Promise<Map<string, DesiredState>> {
    return this.database.read(async (em) => {
      const rows = await em.findAll(PluginStateEntity);
      return new Map(rows.map(({ id, desired, config }) => [id, { desired, ...(config && { config }) }]));
    });
  }

  save(states: ReadonlyMap<string, DesiredState>): Promise<void> {
    return this.database.transaction(async (em) => {
      const known = new Map((await em.findAll(PluginStateEntity)).map((row) => [row.id, row]));
      for (const [id, { desired, config }] of states) {
        const row = known.get(id);
        if (row) em.assign(row, { desired, config: config ?? null });
        else em.create(PluginStateEntity, { id, desired, config: config ?? null }, { persist: true });
      }
    });
  }
}

export class MemoryStateStore implements DesiredStateStore {
  readonly #states = new Map<string, DesiredState>();

  async load(): Promise<Map<string, DesiredState>> {
    return new Map(this.#states);
  }

  async save(states: ReadonlyMap<string, DesiredState>): Promise<void> {
    for (const [id, state] of states) this.#states.set(id, state);
  }
}
