import { AtollError, type JsonSchema, type Principal } from '@atoll/plugin-sdk/contract';
import type { Config } from '../config/index.js';
import type { Database } from '../database/index.js';
import { compileGuestSchema } from '../schema/index.js';
import type { Logger } from '../telemetry/logger.js';
import { Blobs, sweepUploads } from './blobs.js';
import { hasVectors } from './capabilities.js';
import { Collection } from './collection.js';
import { Quota, type Usage } from './quota.js';
import { type CollectionSpec, type IndexDeclaration, sameSpec, toSpec } from './spec.js';
import { CollectionTable } from './table.js';
import { StorageTransaction } from './transaction.js';
import { Turnstile } from './turnstile.js';

export interface CollectionDeclaration {
  name: string;
  schema?: JsonSchema;
  indexes?: Record<string, IndexDeclaration | IndexDeclaration[]>;
}

/** In which organisation's data a caller works. */
export const organisationOf = (principal: Principal): string => principal.organisation ?? 'default';

const MAX_OPEN_TRANSACTIONS = 32;
/** Calls of one plugin that wait for a place. */
const MAX_WAITING = 512;

/** The data of one plugin, of all organisations. */
interface Namespace {
  readonly tables: Map<string, Promise<CollectionTable>>;
  readonly quota: Quota;
  readonly blobs: Blobs;
  readonly turnstile: Turnstile;
}

/** What one version of a plugin has declared, and the transactions it has open. Ends with that version. */
export class PluginStorage {
  readonly #collections = new Map<string, Collection>();
  readonly #transactions = new Map<string, StorageTransaction>();
  #count = 0;

  constructor(
    readonly plugin: string,
    private readonly service: StorageService,
    private readonly limits: Config['storage'],
    readonly blobs: Blobs,
    private readonly quota: Quota,
    /** Every statement for documents goes through it. */
    readonly turnstile: Turnstile,
  ) {}

  async declare(declaration: CollectionDeclaration): Promise<Collection> {
    if (!this.#collections.has(declaration.name) && this.#collections.size >= this.limits.maxCollections)
      throw new AtollError('STORAGE_QUOTA', `A plugin may declare ${this.limits.maxCollections} collections.`);
    const collection = await this.service.openCollection(this.plugin, declaration);
    this.#collections.set(declaration.name, collection);
    return collection;
  }

  collection(name: string): Collection {
    const found = this.#collections.get(name);
    if (!found) throw new AtollError('NOT_FOUND', `The plugin has not declared a collection "${name}".`);
    return found;
  }

  begin(org: string, deadline: number): string {
    const now = performance.now();
    for (const [id, { expires }] of this.#transactions) if (expires < now) this.#transactions.delete(id);
    if (this.#transactions.size >= MAX_OPEN_TRANSACTIONS)
      throw new AtollError('OVERLOADED', `A plugin may have ${MAX_OPEN_TRANSACTIONS} transactions open.`);
    const id = String(++this.#count);
    const expires = Math.min(deadline, now + this.limits.transactionMs);
    this.#transactions.set(id, new StorageTransaction(this.service.database, this.quota, org, expires));
    return id;
  }

  transaction(id: string, org: string): StorageTransaction {
    const found = this.#transactions.get(id);
    if (found?.org !== org) throw new AtollError('NOT_FOUND', 'The transaction is over, or there was none.');
    return found;
  }

  async end(id: string, org: string, commit: boolean): Promise<void> {
    const transaction = this.transaction(id, org);
    this.#transactions.delete(id);
    if (commit) await transaction.commit();
    else transaction.rollback();
  }
}

/** Storage for plugins: each has its own collections and blobs, apart for each organisation. */
export class StorageService {
  readonly #namespaces = new Map<string, Namespace>();
  #vectors: Promise<boolean> | undefined;

  constructor(
    readonly database: Database,
    private readonly limits: Config['storage'],
    private readonly log: Logger,
  ) {}

  /** Of the connections, for one plugin: some are left for everybody else. */
  get #places(): number {
    return Math.max(1, this.database.connections - 2);
  }

  /** For one running version of a plugin. */
  open(plugin: string): PluginStorage {
    const { blobs, quota, turnstile } = this.#namespace(plugin);
    return new PluginStorage(plugin, this, this.limits, blobs, quota, turnstile);
  }

  /** Makes the collection what is declared: its table, and the indexes over it. */
  async openCollection(plugin: string, { name, schema, indexes = {} }: CollectionDeclaration): Promise<Collection> {
    const validator = schema && compileGuestSchema(schema, { defaults: true });
    const spec = toSpec(validator?.schema, indexes);
    const namespace = this.#namespace(plugin);
    const opening = (namespace.tables.get(name) ?? Promise.resolve(undefined))
      .catch(() => undefined)
      .then((table) => this.#openTable(plugin, name, spec, table));
    namespace.tables.set(name, opening);
    const table = await opening;
    return new Collection(name, table, this.database, namespace.quota, validator, this.limits, namespace.turnstile);
  }

  get maxDocumentBytes(): number {
    return this.limits.maxDocumentBytes;
  }

  blobs(plugin: string): Blobs {
    return this.#namespace(plugin).blobs;
  }

  async hasData(plugin: string): Promise<boolean> {
    const rows = await this.database.query(
      `select 1 from storage_collection where plugin = $1 union all select 1 from storage_blob where plugin = $1 limit 1`,
      [plugin],
    );
    return rows.length > 0;
  }

  /** The table of a collection as it is; a new one without indexes when there is none. */
  openStored(plugin: string, name: string): Promise<CollectionTable> {
    const { tables } = this.#namespace(plugin);
    const opening =
      tables.get(name) ?? this.#stored(plugin, name).then((spec) => this.#openTable(plugin, name, spec, undefined));
    tables.set(name, opening);
    return opening;
  }

  /** Counts what the work stores, which may replace something; so what it really was is counted afterwards. */
  async withQuota<T>(plugin: string, rows: number, bytes: number, work: () => Promise<T>): Promise<T> {
    const { quota } = this.#namespace(plugin);
    await quota.reserve(rows, bytes);
    try {
      return await work();
    } finally {
      quota.recount();
    }
  }

  usage(plugin: string): Promise<Usage> {
    return this.#namespace(plugin).quota.usage();
  }

  /** Drops everything a plugin has stored. Collections that are still declared come back empty. */
  async purge(plugin: string): Promise<void> {
    const rows = await this.database.query<{ id: number; name: string }>(
      'select id, name from storage_collection where plugin = $1',
      [plugin],
    );
    const namespace = this.#namespace(plugin);
    for (const { id, name } of rows) {
      // A running plugin goes on with an empty table; without one the table goes as well.
      const table = namespace.tables.get(name);
      if (table) await this.database.query(`truncate ${(await table).name}`);
      else {
        await this.database.transaction(async () => {
          await this.database.query(`drop table if exists plugin_data.c${id}`);
          await this.database.query('delete from storage_collection where id = $1', [id]);
        });
      }
    }
    await this.database.transaction(async () => {
      await this.database.query(
        'delete from storage_blob_chunk where upload in (select upload from storage_blob where plugin = $1)',
        [plugin],
      );
      await this.database.query('delete from storage_blob where plugin = $1', [plugin]);
    });
    namespace.quota.recount();
  }

  /** Removes what interrupted uploads have left. */
  sweep(): Promise<void> {
    return sweepUploads(this.database);
  }

  async #stored(plugin: string, name: string): Promise<CollectionSpec> {
    const rows = await this.database.query<{ spec: CollectionSpec }>(
      'select spec from storage_collection where plugin = $1 and name = $2',
      [plugin, name],
    );
    return rows[0]?.spec ?? { indexes: [] };
  }

  #namespace(plugin: string): Namespace {
    const known = this.#namespaces.get(plugin);
    if (known) return known;
    const quota = new Quota(
      plugin,
      { ...this.limits, ...this.limits.quotas[plugin] },
      () => this.#count(plugin),
      this.database.engine === 'postgresql',
    );
    const made = {
      tables: new Map(),
      quota,
      blobs: new Blobs(plugin, this.database, quota),
      turnstile: new Turnstile(this.#places, MAX_WAITING),
    };
    this.#namespaces.set(plugin, made);
    return made;
  }

  async #openTable(
    plugin: string,
    name: string,
    spec: CollectionSpec,
    open: CollectionTable | undefined,
  ): Promise<CollectionTable> {
    const [row] = await this.database.query<{ id: number; spec: CollectionSpec; fresh: boolean }>(
      `insert into storage_collection (plugin, name, spec) values ($1, $2, '{"indexes":[]}')
       on conflict (plugin, name) do update set name = excluded.name returning id, spec, to_regclass('plugin_data.c' || id) is null as fresh`,
      [plugin, name],
    );
    const { id, spec: before, fresh } = row!;
    this.#vectors ??= hasVectors(this.database);
    const vectors = await this.#vectors;
    if (!vectors && spec.indexes.some(({ kind }) => kind === 'vector'))
      this.log.warn({ plugin, collection: name }, 'the database has no pgvector: searches look at every vector');
    const table =
      open ??
      new CollectionTable(this.database, id, vectors, (problem, error) =>
        this.log.error({ plugin, collection: name, err: error }, problem),
      );
    if (open && sameSpec(open.spec, spec)) return open;
    if (!open && !fresh && sameSpec(before, spec)) {
      table.adopt(spec);
      return table;
    }
    await table.change(spec, open ? open.spec : before);
    await this.database.query('update storage_collection set spec = $2::jsonb where id = $1', [
      id,
      JSON.stringify(spec),
    ]);
    return table;
  }

  async #count(plugin: string): Promise<Usage> {
    const tables = await this.database.query<{ id: number }>(
      `select id from storage_collection where plugin = $1 and to_regclass('plugin_data.c' || id) is not null`,
      [plugin],
    );
    const counts = [
      ...tables.map(({ id }) => `select count(*) as rows, coalesce(sum(size), 0) as bytes from plugin_data.c${id}`),
      'select count(*) as rows, coalesce(sum(size), 0) as bytes from storage_blob where plugin = $1',
    ];
    const rows = await this.database.query<{ rows: string; bytes: string }>(counts.join(' union all '), [plugin]);
    return {
      rows: rows.reduce((sum, row) => sum + Number(row.rows), 0),
      bytes: rows.reduce((sum, row) => sum + Number(row.bytes), 0),
    };
  }
}
