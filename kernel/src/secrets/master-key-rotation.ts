import { AtollError } from '@atoll/plugin-sdk/contract';
import type { AuditTrail, Origin } from '../audit/index.js';
import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';
import type { IdentityChanges } from '../identity/changes.js';
import type { Logger } from '../telemetry/logger.js';
import { countLeft, rewrapAll } from './rewrap.js';

export interface RotationDeps {
  database: Database;
  changes: IdentityChanges;
  master: MasterKey;
  trail: AuditTrail;
  log: Logger;
}

export interface RotationState {
  /** Id of the master key in use. */
  key: string;
  /** `incomplete`: something can't be opened, because its key is not there. */
  state: 'done' | 'running' | 'incomplete';
  /** What is not yet under that key. While there is any, the previous key is needed. */
  left: number;
}

interface Row {
  active: string;
  rotating: boolean;
  unreadable: number;
}

const RETRY_MS = 1_000;
const KERNEL: Origin = { principal: { kind: 'system', id: 'kernel', roles: [] }, address: 'kernel' };

/**
 * Exchanges the master key while everything goes on. Which key is in use is said in the database, for all nodes; every node has both.
 * What is sealed names its key, so it makes no difference where the exchange has got to, or whether it was interrupted.
 */
export class MasterKeyRotation {
  #work: Promise<void> | undefined;
  #following: Promise<void> | undefined;
  #again = false;
  #closing = false;
  #unsubscribe = () => {};

  constructor(private readonly deps: RotationDeps) {}

  async start(): Promise<void> {
    const { database, changes, master, log } = this.deps;
    await database.query('insert into master_key_state (id, active) values (1, $1) on conflict do nothing', [
      master.id,
    ]);
    const { active, rotating } = await this.#state();
    if (!master.activate(active))
      log.error({ key: active }, 'the master key is another one than what is in the database was encrypted with');
    if (rotating) this.#begin();
    this.#unsubscribe = changes.onChange((subject) => {
      if (subject === 'master-key' || subject === 'everything') this.#follow();
    });
  }

  async close(): Promise<void> {
    this.#closing = true;
    this.#unsubscribe();
    await this.#work;
    await this.#following;
  }

  async state(): Promise<RotationState> {
    const { active, rotating, unreadable } = await this.#state();
    const left = await countLeft(this.deps.database, this.deps.master);
    return { key: active, state: rotating ? 'running' : unreadable > 0 ? 'incomplete' : 'done', left };
  }

  /** Within a transaction that seals something: has it sealed with the key that is in use now, and no exchange begin before its end. */
  async useActiveKey(): Promise<void> {
    const { database, master } = this.deps;
    const [row] = await database.query<Row>('select * from master_key_state where id = 1 for share');
    if (row && !master.activate(row.active)) throw lost(row.active);
  }

  /**
   * Begins to use the configured key, or a new one where Atoll keeps it itself; what is there is sealed with it in the background.
   * Goes on with an exchange that is under way. `withoutOld`: the key in use is lost, and what it has sealed with it.
   */
  async rotate({ withoutOld = false } = {}): Promise<RotationState> {
    const { master, changes } = this.deps;
    const { active, rotating } = await this.#state();
    if (!master.has(active) && !withoutOld) throw lost(active);
    if (!rotating) {
      const target = active === master.configured ? await this.#newKey(withoutOld) : master.configured;
      changes.note({ target: 'master key', before: { id: active }, after: { id: target } });
      await changes.apply('master-key', () => this.#activate(active, target));
      master.activate(target);
    }
    this.#begin();
    return this.state();
  }

  /** The same where something is left of another key: then that comes first. */
  async #newKey(withoutOld: boolean): Promise<string> {
    const { database, master } = this.deps;
    if (!withoutOld && (await countLeft(database, master)) > 0) return master.id;
    if (master.renew) return master.configure(await master.renew());
    throw new AtollError(
      'CONFLICT',
      'The configured master key is in use already. Start all nodes with ATOLL_MASTER_KEY set to the new key and ATOLL_MASTER_KEY_PREVIOUS to this one, then rotate.',
    );
  }

  async #activate(before: string, target: string): Promise<void> {
    const changed = await this.deps.database.query(
      `update master_key_state set active = $2, rotating = true, unreadable = 0, changed_at = now()
        where id = 1 and active = $1 and not rotating returning id`,
      [before, target],
    );
    if (changed.length === 0) throw new AtollError('CONFLICT', 'Another exchange of the master key has just begun.');
  }

  /** Uses the key that another node has begun to use. One look at a time: there may be many occasions. */
  #follow(): void {
    this.#again = true;
    this.#following ??= this.#look()
      .catch((error) => this.deps.log.warn({ err: error }, 'the state of the master key could not be read'))
      .finally(() => {
        this.#following = undefined;
      });
  }

  async #look(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      const { active } = await this.#state();
      if (active !== this.deps.master.id && !this.deps.master.activate(active))
        this.deps.log.error({ key: active }, 'this node lacks the new master key');
    }
  }

  async #state(): Promise<Row> {
    const [row] = await this.deps.database.query<Row>('select * from master_key_state where id = 1');
    return row ?? { active: this.deps.master.id, rotating: false, unreadable: 0 };
  }

  #begin(): void {
    this.#work ??= this.#untilDone().finally(() => {
      this.#work = undefined;
    });
  }

  async #untilDone(): Promise<void> {
    while (!this.#closing) {
      try {
        return await this.#rewrap();
      } catch (error) {
        this.deps.log.warn({ err: error }, 'the exchange of the master key goes on in a moment');
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  async #rewrap(): Promise<void> {
    const { database, master, changes, trail, log } = this.deps;
    const unreadable = await rewrapAll(database, master, () => !this.#closing);
    if (this.#closing) return;
    const key = master.id;
    await changes.apply('secrets', async () => {
      const ended = await database.query(
        'update master_key_state set rotating = false, unreadable = $2, changed_at = now() where id = 1 and active = $1 and rotating returning id',
        [key, unreadable],
      );
      // Also, from here on the trail is made with the new key: what is before can't be altered with the old one.
      if (ended.length > 0)
        await trail.write(
          KERNEL,
          { action: 'secrets.rotated', target: 'master key', after: { id: key, unreadable } },
          'done',
        );
    });
    if (unreadable > 0) log.error({ key, unreadable }, 'not everything could be brought under the new master key');
    else log.info({ key }, 'everything is under the new master key');
  }
}

const lost = (id: string): AtollError =>
  new AtollError('MASTER_KEY_WRONG', `The key "${id}" that is in use is not there.`);
