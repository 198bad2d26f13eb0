import type { MasterKey } from '../auth/index.js';
import type { Database } from '../database/index.js';
import type { Secret, SecretSource } from '../net/index.js';
import { type Envelope, open, type VersionPlace } from './envelope.js';

interface Row {
  name: string;
  id: string;
  hosts: string[];
  version: number;
  wrapped_key: string;
  sealed: string;
  plugins: string[] | null;
}

interface Kept extends VersionPlace, Envelope {
  hosts: readonly string[];
  plugins: readonly string[];
}

/** How long what is known is relied on while other nodes can't tell of changes, in ms. */
const STALE_MS = 1_000;
/** How long a request waits to hear what has changed, in ms. */
const PATIENCE_MS = 1_000;

/** The active versions, as they are in the database: in memory they stay encrypted, and are opened when they are used. */
export class SealedSecrets implements SecretSource {
  #kept: ReadonlyMap<string, Kept> = new Map();
  #loadedAt = Number.NEGATIVE_INFINITY;
  #loading: Promise<void> | undefined;
  #again = false;

  constructor(
    private readonly database: Database,
    private readonly master: MasterKey,
    /** Whether changes of other nodes are heard of. */
    private readonly told: () => boolean,
  ) {}

  get(name: string): Secret | undefined {
    const kept = this.#kept.get(name);
    return kept && { hosts: kept.hosts, plugins: kept.plugins, reveal: () => open(this.master, kept, kept) };
  }

  get names(): string[] {
    return [...this.#kept.keys()];
  }

  async fresh(): Promise<void> {
    if (this.#loading === undefined && (this.told() || performance.now() - this.#loadedAt < STALE_MS)) return;
    // What is known is better than nothing while the database is away.
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS);
    });
    await Promise.race([this.reload().catch(() => {}), patience]);
    clearTimeout(timer);
  }

  /** Resolves when what is in the database now is known. */
  reload(): Promise<void> {
    this.#again = true;
    this.#loading ??= this.#loadWhileNeeded().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  /** Resolves when nothing is being read any more. */
  async close(): Promise<void> {
    this.#again = false;
    await this.#loading?.catch(() => {});
  }

  async #loadWhileNeeded(): Promise<void> {
    while (this.#again) {
      this.#again = false;
      await this.#load();
    }
  }

  async #load(): Promise<void> {
    const rows = await this.database.query<Row>(
      `select s.name, s.id, s.hosts, v.version, v.wrapped_key, v.sealed,
              (select array_agg(g.plugin) from secret_grant g where g.name = s.name) as plugins
         from secret s join secret_version v on v.name = s.name and v.version = s.active_version`,
    );
    this.#loadedAt = performance.now();
    this.#kept = new Map(
      rows.map(({ wrapped_key, plugins, ...row }) => [
        row.name,
        { ...row, wrappedKey: wrapped_key, plugins: plugins ?? [] },
      ]),
    );
  }
}
