import type { Database } from '../database/index.js';
import { PluginStateEntity } from './plugin-state-entity.js';

export interface DesiredState {
  desired: 'enabled' | 'disabled';
  /** Values the operator set through the API, over those of the configuration files. */
  config?: Record<string, unknown>;
  /** The generation of the installation that it was last set in; 0 where there is only one node. */
  generation?: number;
}

/** Where the operator's wishes are kept. */
export interface DesiredStateStore {
  load(): Promise<Map<string, DesiredState>>;
  /** Keeps these; what is stored of other plugins stays. Resolves with the generation that they belong to. */
  save(states: ReadonlyMap<string, DesiredState>): Promise<number>;
}

/** Begins a new generation of what all nodes should run, in the transaction of the caller; resolves with its number. */
export type Advance = () => Promise<number>;

const NO_NODES: Advance = async () => 0;

/** In the database. */
export class DatabaseStateStore implements DesiredStateStore {
  constructor(
    private readonly database: Database,
    private readonly advance: Advance = NO_NODES,
  ) {}

  load(): Promise<Map<string, DesiredState>> {
    return this.database.read(async (em) => {
      const rows = await em.findAll(PluginStateEntity);
      return new Map(
        rows.map(({ id, desired, config, generation }) => [
          id,
          { desired, ...(config && { config }), ...(generation > 0 && { generation }) },
        ]),
      );
    });
  }

  save(states: ReadonlyMap<string, DesiredState>): Promise<number> {
    return this.database.transaction(async (em) => {
      const generation = await this.advance();
      const known = new Map((await em.findAll(PluginStateEntity)).map((row) => [row.id, row]));
      for (const [id, { desired, config }] of states) {
        const values = { desired, config: config ?? null, generation };
        const row = known.get(id);
        if (row) em.assign(row, values);
        else em.create(PluginStateEntity, { id, ...values }, { persist: true });
      }
      return generation;
    });
  }
}

export class MemoryStateStore implements DesiredStateStore {
  readonly #states = new Map<string, DesiredState>();

  async load(): Promise<Map<string, DesiredState>> {
    return new Map(this.#states);
  }

  async save(states: ReadonlyMap<string, DesiredState>): Promise<number> {
    for (const [id, state] of states) this.#states.set(id, state);
    return 0;
  }
}
