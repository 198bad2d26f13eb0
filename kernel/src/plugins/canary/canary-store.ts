import type { Database } from '../../database/index.js';
import type { CanaryView } from './canary-view.js';

/** The latest canary of each plugin, in the database. Each runs on one node. */
export class CanaryStore {
  constructor(
    private readonly database: Database,
    private readonly node: () => string,
  ) {}

  /** Without those that run on other nodes. */
  async list(): Promise<CanaryView[]> {
    const rows = await this.database.query<{ canary: CanaryView }>(
      `select canary - 'node' as canary from plugin_canary
        where canary->>'state' <> 'running' or coalesce(canary->>'node', $1) = $1 order by id`,
      [this.node()],
    );
    return rows.map(({ canary }) => canary);
  }

  async save(canary: CanaryView): Promise<void> {
    await this.database.query(
      `insert into plugin_canary (id, canary) values ($1, $2)
       on conflict (id) do update set canary = excluded.canary, updated_at = now()`,
      [canary.id, JSON.stringify({ ...canary, node: this.node() })],
    );
  }
}
