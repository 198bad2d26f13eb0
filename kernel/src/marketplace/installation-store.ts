import type { Channel } from '@atoll/registry';
import type { Database } from '../database/index.js';
import type { Advance } from '../plugins/state-store.js';
import { type FormerVersion, InstallationEntity } from './installation-entity.js';

export interface Installation {
  id: string;
  version: string;
  former: FormerVersion[];
  /** It took the place of the one before without its state, and does so on every node. */
  discardState: boolean;
  follows?: Channel;
}

/** Versions kept for a rollback, per plugin. */
const MAX_FORMER = 10;

/** Which versions are installed, in the database. */
export class InstallationStore {
  constructor(
    private readonly database: Database,
    private readonly advance: Advance,
  ) {}

  list(): Promise<Installation[]> {
    return this.database.read(async (em) => {
      const rows = await em.findAll(InstallationEntity, { orderBy: { id: 'asc' } });
      return rows.map(({ id, version, former, discardState, follows }) => ({
        id,
        version,
        former,
        discardState,
        ...(follows && { follows }),
      }));
    });
  }

  async get(id: string): Promise<Installation | undefined> {
    return (await this.list()).find((one) => one.id === id);
  }

  /** Without a channel, it follows none any more. */
  follow(id: string, channel: Channel | undefined): Promise<void> {
    return this.database.transaction(async (em) => {
      const row = await em.findOne(InstallationEntity, { id });
      if (row) em.assign(row, { follows: channel ?? null });
    });
  }

  /** All of it or nothing. `undefined` removes a plugin's row. */
  save(versions: ReadonlyMap<string, string | undefined>, at: Date, discardState: boolean): Promise<void> {
    return this.database.transaction(async (em) => {
      await this.advance();
      for (const [id, version] of versions) {
        const row = await em.findOne(InstallationEntity, { id });
        if (version === undefined) {
          if (row) em.remove(row);
        } else if (!row) em.create(InstallationEntity, { id, version, former: [], discardState }, { persist: true });
        else if (row.version !== version) {
          const former = [{ version: row.version, until: at.toISOString() }, ...row.former];
          const others = former.filter(
            (one, n) => one.version !== version && former.findIndex((f) => f.version === one.version) === n,
          );
          em.assign(row, { version, former: others.slice(0, MAX_FORMER), discardState });
        }
      }
    });
  }
}
