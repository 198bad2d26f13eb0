import { AtollError } from '@atoll/plugin-sdk/contract';
import { type Database, sqlState } from '../database/index.js';
import { hashOf, jsonOf, sortKey } from './field.js';
import {
  type CollectionSpec,
  type Index,
  indexName,
  MAX_INDEXED_DIMENSIONS,
  type Metric,
  type VectorIndex,
} from './spec.js';
import { identifier, literal } from './sql.js';

/*
 * Each collection has a table of its own. Against one table for all documents with partial indexes, inserting does not slow down with
 * what other collections declare, an index is built over its own documents only, and dropping a plugin's data drops tables.
 */

const OPERATORS: Record<Metric, { operator: string; opclass: string }> = {
  cosine: { operator: '<=>', opclass: 'vector_cosine_ops' },
  l2: { operator: '<->', opclass: 'vector_l2_ops' },
  inner: { operator: '<#>', opclass: 'vector_ip_ops' },
};
export const operatorOf = (metric: Metric): string => OPERATORS[metric].operator;

/** Below this many documents an index is built while its plugin starts; above, beside everything else. */
const SMALL = 5_000;
/** Documents of one step of filling derived columns: a step holds the embedded database, so it has to be short. */
const FILL_STEP = 50;
/** On a server, statements that build an index or scan a whole table may take as long as they need. */
const DDL_LOCK = 7_070_002;

/** The columns that are derived from a document for its indexes. */
export interface DerivedColumn {
  name: string;
  type: string;
  /** Over the column `doc`. */
  expression: string;
}

/** The table behind one collection of one plugin: its columns and indexes follow what is declared. */
export class CollectionTable {
  #spec: CollectionSpec = { indexes: [] };
  #derived: DerivedColumn[] = [];
  /** Fields of unique indexes by the index's name, for errors. */
  #unique = new Map<string, string>();
  #filling: Promise<void> = Promise.resolve();
  #changing: Promise<void> = Promise.resolve();
  #dropped = false;

  constructor(
    private readonly database: Database,
    private readonly id: number,
    private readonly vectors: boolean,
    private readonly onProblem: (problem: string, error: unknown) => void,
  ) {}

  /** With its schema, for SQL. */
  get name(): string {
    return `plugin_data.c${this.id}`;
  }

  get spec(): CollectionSpec {
    return this.#spec;
  }

  get derived(): readonly DerivedColumn[] {
    return this.#derived;
  }

  /** Fields that can be found by their hash. */
  get hashed(): ReadonlySet<string> {
    return new Set(
      this.#spec.indexes.filter(({ kind }) => kind === 'equality' || kind === 'unique').map(({ field }) => field),
    );
  }

  /** Whether vectors are of pgvector's type. */
  get nativeVectors(): boolean {
    return this.vectors;
  }

  fieldOfConstraint(constraint: string): string | undefined {
    return this.#unique.get(constraint);
  }

  columnOf(index: VectorIndex): string {
    return indexName(index);
  }

  /** Background work that is still to be done; for tests and shutdown. */
  settled(): Promise<void> {
    return this.#filling;
  }

  /** Makes table, columns and indexes what the specification says. Throws CONFLICT when a unique index meets duplicates. */
  change(spec: CollectionSpec, before: CollectionSpec): Promise<void> {
    this.#changing = this.#changing.catch(() => {}).then(() => this.#change(spec, before));
    return this.#changing;
  }

  async drop(): Promise<void> {
    this.#dropped = true;
    await this.#filling;
    await this.database.query(`drop table if exists ${this.name}`);
  }

  /** Takes the specification as it is in the database already. */
  adopt(spec: CollectionSpec): void {
    this.#spec = spec;
    this.#derived = this.#derivedOf(spec);
    this.#unique = new Map(
      spec.indexes.filter(({ kind }) => kind === 'unique').map((index) => [this.#indexName(index, spec), index.field]),
    );
  }

  async #change(spec: CollectionSpec, before: CollectionSpec): Promise<void> {
    const wanted = this.#derivedOf(spec);
    const present = new Set(this.#derivedOf(before).map(({ name }) => name));
    const added = wanted.filter(({ name }) => !present.has(name));
    const small = await this.database.transaction(async () => {
      await this.database.query(`select pg_advisory_xact_lock(${DDL_LOCK}, ${this.id})`);
      await this.database.query(createCollectionTable(this.id));
      for (const { name, type } of added)
        await this.database.query(`alter table ${this.name} add column if not exists ${identifier(name)} ${type}`);
      const [row] = await this.database.query<{ count: number }>(
        `select count(*)::int as count from (select 1 from ${this.name} limit ${SMALL}) as few`,
      );
      return row!.count < SMALL;
    });
    await this.#dropIndexes(spec);
    // Unique ones are a promise, so they are there before the plugin is; of the others only those that take no time.
    const [now, later] = partition(spec.indexes, (index) => small || index.kind === 'unique' || usesDerived(index));
    for (const index of now) await this.#createIndex(index, spec, small);
    this.adopt(spec);
    this.#filling = this.#filling
      .then(() => this.#catchUp(added, later, spec))
      .catch((error) => {
        if (!this.#dropped) this.onProblem('an index could not be built', error);
      });
    if (small) await this.#filling;
    const gone = [...present].filter((name) => !wanted.some((column) => column.name === name));
    for (const name of gone)
      await this.database.query(`alter table ${this.name} drop column if exists ${identifier(name)}`);
  }

  #derivedOf({ indexes }: CollectionSpec): DerivedColumn[] {
    const texts = indexes.filter((index) => index.kind === 'text');
    const vectors = indexes.filter((index) => index.kind === 'vector');
    const columns = vectors.map((index) => this.#vectorColumn(index));
    if (texts.length === 0) return columns;
    const parts = texts.map(({ field, language }) => {
      const json = jsonOf(field);
      return `to_tsvector(${literal(language)}::regconfig, left(case jsonb_typeof(${json}) when 'string' then ${json} #>> '{}' when 'array' then ${json}::text else '' end, 200000))`;
    });
    // Its name tells what it is made of.
    return [...columns, { name: tsvColumn({ indexes }), type: 'tsvector', expression: parts.join(' || ') }];
  }

  #vectorColumn(index: VectorIndex): DerivedColumn {
    const { field, dimensions } = index;
    const json = jsonOf(field);
    const type = this.vectors ? `vector(${dimensions})` : 'real[]';
    const isVector = `jsonb_typeof(${json}) = 'array' and jsonb_array_length(${json}) = ${dimensions} and not jsonb_path_exists(${json}, '$[*] ? (@.type() != "number")')`;
    // The text of a JSON list is that of a vector; an array is written with braces.
    const cast = this.vectors ? `(${json} #>> '{}')::${type}` : `translate(${json} #>> '{}', '[]', '{}')::real[]`;
    return { name: indexName(index), type, expression: `case when ${isVector} then ${cast} end` };
  }

  #indexName(index: Index, spec: CollectionSpec): string {
    const name = index.kind === 'text' ? tsvColumn(spec) : indexName(index);
    return `c${this.id}_${name}`;
  }

  async #dropIndexes(spec: CollectionSpec): Promise<void> {
    const wanted = new Set(spec.indexes.map((index) => this.#indexName(index, spec)));
    const rows = await this.database.query<{ name: string; valid: boolean }>(
      `select c.relname as name, i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid
        where i.indrelid = $1::regclass and not i.indisprimary`,
      [this.name],
    );
    // One whose concurrent build was cut off is there and of no use.
    for (const { name, valid } of rows)
      if (!wanted.has(name) || !valid)
        await this.database.query(`drop index if exists plugin_data.${identifier(name)}`);
  }

  async #createIndex(index: Index, spec: CollectionSpec, small: boolean): Promise<void> {
    const definition = this.#definition(index, spec);
    if (!definition) return;
    const unique = index.kind === 'unique' ? 'unique ' : '';
    // On a server writers go on meanwhile; the embedded database has one session anyway.
    const concurrently = !small && this.database.engine === 'postgresql' ? 'concurrently ' : '';
    const name = this.#indexName(index, spec);
    try {
      await this.database.unlimited(
        `create ${unique}index ${concurrently}if not exists ${identifier(name)} on ${this.name} ${definition}`,
      );
    } catch (error) {
      if (concurrently) await this.database.query(`drop index if exists plugin_data.${identifier(name)}`);
      if (sqlState(error) !== '23505') throw error;
      throw new AtollError('CONFLICT', `Documents have the same \`${index.field}\`, so it can't be a unique index.`);
    }
  }

  #definition(index: Index, spec: CollectionSpec): string | undefined {
    switch (index.kind) {
      case 'equality':
        // With the id, by which pages are sorted: a page reads its own documents only.
        return `(org, ${hashOf(jsonOf(index.field))}, id)`;
      case 'unique':
        return `(org, md5(${jsonOf(index.field)}::text)) where ${jsonOf(index.field)} <> 'null'::jsonb`;
      case 'range':
        return `(org, ${sortKey(index.field, index.type)}, id)`;
      case 'text':
        return `using gin (${identifier(tsvColumn(spec))})`;
      case 'vector':
        if (!this.vectors || index.dimensions > MAX_INDEXED_DIMENSIONS) return undefined;
        return `using hnsw (${identifier(indexName(index))} ${OPERATORS[index.metric].opclass})`;
    }
  }

  /** Fills new columns for documents that were there before, a few at a time, and then builds what is left. */
  async #catchUp(added: readonly DerivedColumn[], later: readonly Index[], spec: CollectionSpec): Promise<void> {
    if (added.length > 0) await this.#fill(added);
    for (const index of later) if (!this.#dropped) await this.#createIndex(index, spec, false);
  }

  async #fill(columns: readonly DerivedColumn[]): Promise<void> {
    const assignments = columns.map(({ name, expression }) => `${identifier(name)} = ${expression}`).join(', ');
    let last: [org: string, id: string] = ['', ''];
    for (;;) {
      if (this.#dropped) return;
      const rows = await this.database.query<{ org: string; id: string }>(
        `with step as (select org, id from ${this.name} where (org, id) > ($1::text, $2::text) order by org, id limit ${FILL_STEP})
         update ${this.name} as t set ${assignments} from step where t.org = step.org and t.id = step.id returning t.org, t.id`,
        last,
      );
      if (rows.length === 0) return;
      last = rows
        .map(({ org, id }): [string, string] => [org, id])
        .reduce((a, b) => (a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]) ? b : a));
    }
  }
}

/** The table of a collection as it is without any index. */
export function createCollectionTable(id: number): string {
  return `create table if not exists plugin_data.c${id} (
    org text collate "C" not null,
    id text collate "C" not null,
    version int not null default 1,
    size int not null,
    doc jsonb not null,
    primary key (org, id)
  )`;
}

/** The one column for all fields of full text. */
export function tsvColumn({ indexes }: CollectionSpec): string {
  return `t_${indexes
    .filter(({ kind }) => kind === 'text')
    .map(indexName)
    .join('')
    .replaceAll('t_', '')
    .slice(0, 48)}`;
}

/** An index over a column that is still empty costs nothing to make, and then fills with it. */
const usesDerived = ({ kind }: Index): boolean => kind === 'text' || kind === 'vector';

function partition<T>(all: readonly T[], test: (one: T) => boolean): [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}
