import { randomUUID } from 'node:crypto';
import type { AuditTrail, Deed } from '../audit/index.js';
import { type Database, DatabaseListener, type EntityManager } from '../database/index.js';
import type { Logger } from '../telemetry/logger.js';

/** What a change is about: everything that was derived from it is void. */
export type Subject =
  | `user:${string}`
  | `session:${string}`
  | `key:${string}`
  | `organisation:${string}`
  | `permissions:${string}`
  | 'limits'
  | 'secrets'
  | 'master-key'
  | 'everything';

type Listener = (subject: Subject) => void;

const CHANNEL = 'atoll_identity';

/**
 * Changes of who may do what. They hold at once: on this node when the change is committed, on others when PostgreSQL has told them.
 * While a node can't be told, `told` is false, and it must not rely on what it knows for long.
 */
export class IdentityChanges {
  readonly #listeners = new Set<Listener>();
  readonly #node = randomUUID();
  #listener: DatabaseListener | undefined;
  #told: boolean;

  constructor(
    private readonly database: Database,
    private readonly log: Logger,
    private readonly trail?: AuditTrail,
  ) {
    // The embedded database has no other nodes.
    this.#told = database.engine === 'embedded';
  }

  get told(): boolean {
    return this.#told;
  }

  /** Begins to listen to other nodes. */
  async start(): Promise<void> {
    if (this.database.engine !== 'postgresql') return;
    this.#listener = new DatabaseListener(this.database, {
      name: 'atoll identity',
      channel: CHANNEL,
      log: this.log,
      onMessage: (payload) => {
        const [node, subject] = payload.split(' ', 2);
        if (node !== this.#node && subject) this.#tell(subject as Subject);
      },
      onConnected: () => {
        this.#told = true;
        this.#tell('everything');
      },
      onLost: () => {
        this.#told = false;
      },
    });
    await this.#listener.start();
  }

  async close(): Promise<void> {
    await this.#listener?.close();
  }

  onChange(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Says what the change is about, for the audit trail. */
  note(deed: Partial<Deed>): void {
    this.trail?.note(deed);
  }

  /** A transaction that changes these subjects, and leaves its entry in the audit trail. Not within another one. */
  async apply<T>(subjects: Subject | Subject[], work: (em: EntityManager) => Promise<T>): Promise<T> {
    const all = [subjects].flat();
    let committed: (() => void) | undefined;
    const result = await this.database.transaction(async (em) => {
      const done = await work(em);
      await em.flush();
      committed = (await this.trail?.writeWithin())?.committed;
      if (this.database.engine === 'postgresql')
        for (const subject of all)
          await this.database.query('select pg_notify($1, $2)', [CHANNEL, `${this.#node} ${subject}`]);
      return done;
    });
    committed?.();
    for (const subject of all) this.#tell(subject);
    return result;
  }

  /** Something else changed that permissions depend on, on this node. */
  forgetAll(): void {
    this.#tell('everything');
  }

  #tell(subject: Subject): void {
    for (const listener of this.#listeners) listener(subject);
  }
}
