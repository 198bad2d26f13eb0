import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import { type Collection, checkVector, type Row } from './collection.js';
import { filterSql } from './filter.js';
import { MAX_INDEXED_DIMENSIONS, type Metric, type VectorIndex } from './spec.js';
import { identifier, literal, Sql } from './sql.js';
import { operatorOf, tsvColumn } from './table.js';

export interface SearchRequest {
  text?: string;
  vector?: number[] | { field: string; value: number[] };
  where?: unknown;
  k?: number;
}

export interface Hit {
  row: Row;
  /** Higher is better; comparable within one answer only. */
  score: number;
}

const DEFAULT_K = 10;
/** Reciprocal rank fusion: how much being first counts more than being second. */
const RRF = 60;
/** Up to so many documents every vector is looked at: exact, and as fast as an index. */
const EXACT = 5_000;
/** Ranking costs time for every match; of a term that is nearly everywhere the rank says little anyway. */
const MAX_RANKED = 3_000;

/** The best documents for a text, a vector, or both: then by the ranks in both lists. */
export async function search(
  database: Database,
  collection: Collection,
  org: string,
  request: SearchRequest,
): Promise<Hit[]> {
  const { text, vector, where, k = DEFAULT_K } = request;
  if (text === undefined && vector === undefined)
    throw new AtollError('VALIDATION_FAILED', 'A search needs `text`, `vector`, or both.');
  const one = new Searcher(database, collection, org, where);
  if (vector === undefined) return one.load(await one.byText(text!, k));
  if (text === undefined) return one.load(await one.byVector(vector, k));
  // Deeper than asked for: what is in the middle of both lists may be the best of all.
  const depth = Math.min(Math.max(50, k * 3), 1_000);
  return one.load(fuse([await one.byText(text, depth), await one.byVector(vector, depth)], k));
}

interface Ranked {
  id: string;
  score: number;
}

/** Sums 1 / (60 + rank) over the lists. */
function fuse(lists: readonly (readonly Ranked[])[], k: number): Ranked[] {
  const scores = new Map<string, number>();
  for (const list of lists)
    for (const [at, { id }] of list.entries()) scores.set(id, (scores.get(id) ?? 0) + 1 / (RRF + at + 1));
  return [...scores]
    .map(([id, score]) => ({ id, score }))
    .toSorted((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .slice(0, k);
}

class Searcher {
  constructor(
    private readonly database: Database,
    private readonly collection: Collection,
    private readonly org: string,
    private readonly where: unknown,
  ) {}

  /** Documents with all of the words first; those with some of them only when these are too few. */
  async byText(text: string, k: number): Promise<Ranked[]> {
    const languages = this.#languages();
    const query = (make: (language: string, parameter: string) => string) => (sql: Sql) => {
      const parameter = `${sql.value(text.replaceAll('\0', ' ').toWellFormed())}::text`;
      return `(${languages.map((language) => make(`${literal(language)}::regconfig`, parameter)).join(' || ')})`;
    };
    const strict = await this.#ranked(
      query((language, parameter) => `websearch_to_tsquery(${language}, ${parameter})`),
      k,
    );
    if (strict.length >= k) return strict;
    const some = query(
      (language, parameter) => `replace(plainto_tsquery(${language}, ${parameter})::text, '&', '|')::tsquery`,
    );
    const found = new Set(strict.map(({ id }) => id));
    const loose = (await this.#ranked(some, k)).filter(({ id }) => !found.has(id));
    // Scores of the two queries do not compare; what matches wholly stays ahead.
    const least = strict.at(-1)?.score ?? Number.POSITIVE_INFINITY;
    const most = loose[0]?.score ?? 1;
    const scale = Number.isFinite(least) && most > least ? least / most : 1;
    return [...strict, ...loose.map(({ id, score }) => ({ id, score: score * scale }))].slice(0, k);
  }

  async #ranked(query: (sql: Sql) => string, k: number): Promise<Ranked[]> {
    const sql = new Sql();
    const column = identifier(tsvColumn(this.collection.table.spec));
    const condition = this.#condition(sql);
    return this.database.query<Ranked>(
      `with query as (select ${query(sql)} as words),
       matching as materialized (select id, ${column} as words from ${this.#table} where ${condition} and ${column} @@ (select words from query) limit ${MAX_RANKED})
       select id, ts_rank_cd(matching.words, query.words)::float8 as score from matching, query order by score desc, id limit ${k}`,
      sql.parameters,
    );
  }

  async byVector(vector: NonNullable<SearchRequest['vector']>, k: number): Promise<Ranked[]> {
    const { index, value } = this.#vectorOf(vector);
    if (!this.collection.table.nativeVectors) return this.#scanArrays(index, value, k);
    const exact = index.dimensions > MAX_INDEXED_DIMENSIONS || (await this.#isSmall());
    const found = await this.#nearest(index, value, k, exact);
    // An index gives up at some point; when a filter leaves too little, the rest is looked for one by one.
    return exact || found.length >= k ? found : this.#nearest(index, value, k, true);
  }

  async #nearest(index: VectorIndex, value: number[], k: number, exact: boolean): Promise<Ranked[]> {
    const sql = new Sql();
    const column = identifier(this.collection.table.columnOf(index));
    const distance = `${column} ${operatorOf(index.metric)} ${sql.value(JSON.stringify(value))}::vector`;
    // An expression that no index knows is computed for every row.
    const order = exact ? `(${distance}) + 0` : distance;
    const rows = await this.database.query<{ id: string; distance: number }>(
      `select id, distance from (select id, ${distance} as distance from ${this.#table}
         where ${this.#condition(sql)} and ${column} is not null order by ${order} limit ${k}) as nearest order by distance, id`,
      sql.parameters,
    );
    return rows.map(({ id, distance }) => ({ id, score: toScore(distance, index.metric) }));
  }

  /** Without pgvector: every vector is looked at, in SQL. */
  async #scanArrays(index: VectorIndex, value: number[], k: number): Promise<Ranked[]> {
    const sql = new Sql();
    const column = identifier(this.collection.table.columnOf(index));
    const given = `${sql.value(`{${value.join(',')}}`)}::real[]`;
    const distance = ARRAY_DISTANCE[index.metric];
    const rows = await this.database.query<{ id: string; distance: number }>(
      `select id, distance from (
         select id, (select ${distance} from unnest(${column}, ${given}) as pair (a, b)) as distance
         from ${this.#table} where ${this.#condition(sql)} and ${column} is not null) as measured
       where distance is not null order by distance, id limit ${k}`,
      sql.parameters,
    );
    return rows.map(({ id, distance: far }) => ({ id, score: toScore(far, index.metric) }));
  }

  async load(ranked: readonly Ranked[]): Promise<Hit[]> {
    if (ranked.length === 0) return [];
    const rows = await this.database.query<Row>(
      `select id, version, size, doc::text as doc from ${this.#table} where org = $1 and id = any($2::text[])`,
      [this.org, ranked.map(({ id }) => id)],
    );
    const byId = new Map(rows.map((row) => [row.id, row]));
    return ranked.flatMap(({ id, score }) => {
      const row = byId.get(id);
      return row ? [{ row, score }] : [];
    });
  }

  get #table(): string {
    return this.collection.table.name;
  }

  #condition(sql: Sql): string {
    return `org = ${sql.value(this.org)} and ${filterSql(this.where, { sql, hashed: this.collection.table.hashed })}`;
  }

  #languages(): string[] {
    const languages = this.collection.table.spec.indexes.flatMap((index) =>
      index.kind === 'text' ? [index.language] : [],
    );
    if (languages.length === 0)
      throw new AtollError('VALIDATION_FAILED', `No field of "${this.collection.name}" has a text index.`);
    return [...new Set(languages)];
  }

  #vectorOf(vector: NonNullable<SearchRequest['vector']>): { index: VectorIndex; value: number[] } {
    const indexes = this.collection.table.spec.indexes.filter((index) => index.kind === 'vector');
    const field = Array.isArray(vector) ? undefined : vector.field;
    const index = field === undefined ? indexes[0] : indexes.find((one) => one.field === field);
    if (!index || (field === undefined && indexes.length > 1)) {
      const known = indexes.map((one) => one.field).join(', ') || 'none';
      throw new AtollError(
        'VALIDATION_FAILED',
        `Name the field of the vector: \`{ field, value }\`. Fields with a vector index: ${known}.`,
      );
    }
    return { index, value: checkVector(Array.isArray(vector) ? vector : vector.value, index.dimensions, 'vector') };
  }

  async #isSmall(): Promise<boolean> {
    const rows = await this.database.query<{ count: number }>(
      `select count(*)::int as count from (select 1 from ${this.#table} where org = $1 limit ${EXACT + 1}) as few`,
      [this.org],
    );
    return rows[0]!.count <= EXACT;
  }
}

const ARRAY_DISTANCE: Record<Metric, string> = {
  cosine: '1 - sum(a::float8 * b) / nullif(sqrt(sum(a::float8 * a)) * sqrt(sum(b::float8 * b)), 0)',
  l2: 'sqrt(sum((a::float8 - b) * (a::float8 - b)))',
  inner: '-sum(a::float8 * b)',
};

/** Distances as scores: for cosine and inner product their usual value, for l2 between 0 and 1. */
function toScore(distance: number, metric: Metric): number {
  if (metric === 'cosine') return 1 - distance;
  return metric === 'inner' ? -distance : 1 / (1 + distance);
}
