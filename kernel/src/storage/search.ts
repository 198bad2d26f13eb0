import { AtollError } from '@atoll/plugin-sdk/contract';
import type { Database } from '../database/index.js';
import { type Collection, checkVector, type Row } from './collection.js';
import { filterSql } from './filter.js';
import { MAX_INDEXED_DIMENSIONS, type Metric, type VectorIndex } from './spec.js';
import { identifier, literal, Sql } from './sql.js';
import { type CollectionTable, operatorOf, tsvColumn } from './table.js';

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
const MAX_WORDS = 100;

/** How long it is remembered whether an organisation has few documents, in ms. */
const SMALL_FOR_MS = 30_000;

/** The best documents for a text, a vector, or both: then by the ranks in both lists. */
export async function search(
  database: Database,
  collection: Collection,
  org: string,
  request: SearchRequest,
): Promise<Hit[]> {
  const { text, vector, k = DEFAULT_K } = request;
  if (text === undefined && vector === undefined)
    throw new AtollError('VALIDATION_FAILED', 'A search needs `text`, `vector`, or both.');
  const nearest = vector === undefined ? undefined : nearestOf(collection, vector);
  const exact = nearest === undefined || !nearest.indexed || (await isSmall(database, collection, org));
  const once = (all: boolean) =>
    run(database, new Statement(collection, org, request.where), { text, nearest, k, exact: all });
  const found = await once(exact);
  // An index gives up at some point; when a filter leaves too little, the rest is looked for one by one.
  return (exact || found.near >= k ? found : await once(true)).hits;
}

interface Nearest {
  index: VectorIndex;
  value: number[];
  /** Whether there is an index that answers approximately. */
  indexed: boolean;
}

interface Wanted {
  text: string | undefined;
  nearest: Nearest | undefined;
  k: number;
  exact: boolean;
}

/** One statement for everything: each of its steps would be a way to the database and back. */
async function run(
  database: Database,
  statement: Statement,
  { text, nearest, k, exact }: Wanted,
): Promise<{ hits: Hit[]; near: number }> {
  const both = text !== undefined && nearest !== undefined;
  // Deeper than asked for: what is in the middle of both lists may be the best of all.
  const depth = both ? Math.min(Math.max(50, k * 3), 1_000) : k;
  const steps = [
    ...(text === undefined ? [] : statement.byText(text, depth)),
    ...(nearest === undefined ? [] : [statement.byVector(nearest, depth, exact)]),
    both ? FUSED : `lists as (select id, score from ${text === undefined ? 'near' : 'texts'})`,
    // Before the documents are read: the text of one takes longer than all its ranks.
    `ranked as (select id, score from lists order by score desc, id limit ${k})`,
  ];
  const rows = await database.query<Row & { score: number; near: number }>(
    `with ${steps.join(',\n')}
     select d.id, d.version, d.size, d.doc::text as doc, ranked.score, ${nearest ? '(select count(*)::int from near)' : '0'} as near
     from ranked join ${statement.table} as d on d.org = ${statement.org} and d.id = ranked.id
     order by ranked.score desc, d.id`,
    statement.sql.parameters,
  );
  return { hits: rows.map(({ score, near: _, ...row }) => ({ row, score })), near: rows[0]?.near ?? 0 };
}

/** Sums 1 / (60 + rank) over the lists. */
const FUSED = `lists as (
  select id, sum(1.0 / (${RRF} + at))::float8 as score from (
    select id, row_number() over (order by score desc, id) as at from texts
    union all select id, row_number() over (order by score desc, id) as at from near
  ) as both_lists group by id)`;

/** The steps of a search, and their parameters. Each list has `id` and `score`. */
class Statement {
  readonly sql = new Sql();
  readonly org: string;
  readonly #condition: string;

  constructor(
    private readonly collection: Collection,
    org: string,
    where: unknown,
  ) {
    this.org = this.sql.value(org);
    this.#condition = `org = ${this.org} and ${filterSql(where, { sql: this.sql, hashed: collection.table.hashed })}`;
  }

  get table(): string {
    return this.collection.table.name;
  }

  /** Documents with all of the words first, at 1 and more; those with some of them only when these are too few. */
  byText(text: string, k: number): string[] {
    const { spec } = this.collection.table;
    const languages = new Set(spec.indexes.flatMap((index) => (index.kind === 'text' ? [index.language] : [])));
    if (languages.size === 0)
      throw new AtollError('VALIDATION_FAILED', `No field of "${this.collection.name}" has a text index.`);
    const given = `${this.sql.value(asQuery(text))}::text`;
    const each = (make: (language: string) => string) =>
      [...languages].map((language) => make(`${literal(language)}::regconfig`)).join(' || ');
    const column = identifier(tsvColumn(spec));
    const matching = (words: string) =>
      `select id, ${column} as words from ${this.table} where ${this.#condition} and ${column} @@ (select ${words} from query)`;
    return [
      `query as (select ${each((language) => `websearch_to_tsquery(${language}, ${given})`)} as whole,
        ${each((language) => `replace(plainto_tsquery(${language}, ${given})::text, '&', '|')::tsquery`)} as part)`,
      `whole as materialized (${matching('whole')} limit ${MAX_RANKED})`,
      `part as materialized (${matching('part')} and (select count(*) from whole) < ${k} limit ${MAX_RANKED})`,
      // A rank between 0 and 1, by the usual normalisation.
      `texts as (
        select id, 1 + ts_rank_cd(words, (select whole from query), 32)::float8 as score from whole
        union all
        select id, ts_rank_cd(words, (select part from query), 32)::float8 as score from part
          where not exists (select 1 from whole where whole.id = part.id)
        order by score desc, id limit ${k})`,
    ];
  }

  byVector({ index, value }: Nearest, k: number, exact: boolean): string {
    const column = identifier(this.collection.table.columnOf(index));
    if (!this.collection.table.nativeVectors) return this.#byArrays(index, value, column, k);
    const distance = `${column} ${operatorOf(index.metric)} ${this.sql.value(JSON.stringify(value))}::vector`;
    // An expression that no index knows is computed for every row.
    const order = exact ? `(${distance}) + 0` : distance;
    return `near as (select id, ${SCORE[index.metric]} as score from (
      select id, ${distance} as far from ${this.table} where ${this.#condition} and ${column} is not null
      order by ${order} limit ${k}) as measured)`;
  }

  /** Without pgvector: every vector is looked at, in SQL. */
  #byArrays({ metric }: VectorIndex, value: number[], column: string, k: number): string {
    const given = `${this.sql.value(`{${value.join(',')}}`)}::real[]`;
    return `near as (select id, ${SCORE[metric]} as score from (
      select id, (select ${ARRAY_DISTANCE[metric]} from unnest(${column}, ${given}) as pair (a, b)) as far
      from ${this.table} where ${this.#condition} and ${column} is not null order by far, id limit ${k}) as measured
      where far is not null)`;
  }
}

/** What PostgreSQL can hold, and no more words than make sense: each is looked up. */
function asQuery(text: string): string {
  return text.replaceAll('\0', ' ').toWellFormed().split(/\s+/u).slice(0, MAX_WORDS).join(' ');
}

const ARRAY_DISTANCE: Record<Metric, string> = {
  cosine: '1 - sum(a::float8 * b) / nullif(sqrt(sum(a::float8 * a)) * sqrt(sum(b::float8 * b)), 0)',
  l2: 'sqrt(sum((a::float8 - b) * (a::float8 - b)))',
  inner: '-sum(a::float8 * b)',
};

/** Distances as scores: for cosine and inner product their usual value, for l2 between 0 and 1. A zero vector has no direction. */
const SCORE: Record<Metric, string> = {
  cosine: "coalesce(nullif(1 - far, 'NaN'), 0)::float8",
  l2: '(1 / (1 + far))::float8',
  inner: '(-far)::float8',
};

function nearestOf({ table, name }: Collection, vector: NonNullable<SearchRequest['vector']>): Nearest {
  const indexes = table.spec.indexes.filter((index) => index.kind === 'vector');
  const field = Array.isArray(vector) ? undefined : vector.field;
  const index = field === undefined ? indexes[0] : indexes.find((one) => one.field === field);
  if (!index || (field === undefined && indexes.length > 1)) {
    const known = indexes.map((one) => one.field).join(', ') || 'none';
    throw new AtollError(
      'VALIDATION_FAILED',
      `Name the field of the vector: \`{ field, value }\`. Fields of "${name}" with a vector index: ${known}.`,
    );
  }
  const value = checkVector(Array.isArray(vector) ? vector : vector.value, index.dimensions, 'vector');
  return { index, value, indexed: table.nativeVectors && index.dimensions <= MAX_INDEXED_DIMENSIONS };
}

const sizes = new WeakMap<CollectionTable, Map<string, { small: boolean; until: number }>>();

/** Whether there are so few documents that looking at every one is as good. */
async function isSmall(database: Database, { table }: Collection, org: string): Promise<boolean> {
  const known = sizes.get(table) ?? new Map<string, { small: boolean; until: number }>();
  sizes.set(table, known);
  const last = known.get(org);
  if (last && last.until > performance.now()) return last.small;
  const [row] = await database.query<{ count: number }>(
    `select count(*)::int as count from (select 1 from ${table.name} where org = $1 limit ${EXACT + 1}) as few`,
    [org],
  );
  const small = row!.count <= EXACT;
  known.set(org, { small, until: performance.now() + SMALL_FOR_MS });
  return small;
}
