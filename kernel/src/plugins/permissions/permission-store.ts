import type { Database } from '../../database/index.js';
import type { Narrowing } from './narrow.js';
import type { UseCount } from './usage.js';

export interface StoredPermissions {
  narrowing?: Narrowing;
  /** It is observed since then, ISO 8601. */
  observing?: string;
  usage: UseCount[];
}

interface PermissionRow {
  id: string;
  narrowing: Narrowing | null;
  observing_since: Date | string | null;
  usage: UseCount[] | null;
}

/** What operators have taken from plugins, and what was observed, in the database. */
export class PermissionStore {
  constructor(private readonly database: Database) {}

  async load(id?: string): Promise<Map<string, StoredPermissions>> {
    const rows = await this.database.query<PermissionRow>(
      `select id, narrowing, observing_since, usage from plugin_permission${id === undefined ? '' : ' where id = $1'}`,
      id === undefined ? [] : [id],
    );
    return new Map(rows.map((row) => [row.id, toStored(row)]));
  }

  async setNarrowing(id: string, narrowing: Narrowing | undefined): Promise<void> {
    await this.#set(id, 'narrowing', narrowing === undefined ? null : JSON.stringify(narrowing));
  }

  /** Beginning anew forgets what was observed before. */
  async setObserving(id: string, since: string | undefined): Promise<void> {
    await this.database.query(
      `insert into plugin_permission (id, observing_since) values ($1, $2)
       on conflict (id) do update set observing_since = excluded.observing_since, updated_at = now(),
         usage = case when excluded.observing_since is null then plugin_permission.usage end`,
      [id, since ?? null],
    );
  }

  async setUsage(id: string, usage: readonly UseCount[]): Promise<void> {
    await this.#set(id, 'usage', JSON.stringify(usage));
  }

  async #set(id: string, column: 'narrowing' | 'usage', json: string | null): Promise<void> {
    await this.database.query(
      `insert into plugin_permission (id, ${column}) values ($1, $2)
       on conflict (id) do update set ${column} = excluded.${column}, updated_at = now()`,
      [id, json],
    );
  }
}

function toStored({ narrowing, observing_since: since, usage }: PermissionRow): StoredPermissions {
  return {
    ...(narrowing && { narrowing }),
    ...(since !== null && { observing: new Date(since).toISOString() }),
    usage: usage ?? [],
  };
}
