import type { Database } from '../../database/index.js';
import type { CanaryView } from './canary-view.js';

/** The latest canary of each plugin, in the database. */
export class CanaryStore {
  constructor(private readonly database: Database) {}

  async list(): Promise<CanaryView[]> {
    const rows = await this.database.query<{ canary: CanaryView }>('select canary from plugin_canary order by id');
    return rows.map(({ canary }) => canary);
  }

  async save(canary: CanaryView): Promise<void> {
    await this.database.query(
      `insert into plugin_canary (id, canary) values ($1, $2)
       on conflict (id) do update set canary = excluded.canary, updated_at = now()`,
      [canary.id, JSON.stringify(canary)],
    );
  }
}
