import { createHash } from 'node:crypto';
import { AtollError, type JsonSchema } from '@atoll/plugin-sdk/contract';
import { type Static, Type } from 'typebox';
import { checkPath, type SortType } from './field.js';

/** pgvector's bound for a vector, and for one in an HNSW index. */
const MAX_DIMENSIONS = 16_000;
export const MAX_INDEXED_DIMENSIONS = 2_000;
const MAX_INDEXES = 32;

const LANGUAGES = [
  'simple', 'arabic', 'danish', 'dutch', 'english', 'finnish', 'french', 'german', 'greek', 'hungarian', 'indonesian', 'irish', 'italian',
  'lithuanian', 'nepali', 'norwegian', 'portuguese', 'romanian', 'russian', 'spanish', 'swedish', 'tamil', 'turkish',
] as const; // biome-ignore format: a list

export const IndexDeclaration = Type.Union([
  Type.Literal('equality'),
  Type.Literal('range'),
  Type.Literal('unique'),
  Type.Literal('text'),
  Type.Object(
    { text: Type.Union(LANGUAGES.map((language) => Type.Literal(language))) },
    { additionalProperties: false },
  ),
  Type.Object(
    {
      vector: Type.Integer({ minimum: 1, maximum: MAX_DIMENSIONS }),
      metric: Type.Optional(Type.Union([Type.Literal('cosine'), Type.Literal('l2'), Type.Literal('inner')])),
    },
    { additionalProperties: false },
  ),
]);
export type IndexDeclaration = Static<typeof IndexDeclaration>;

export type Metric = 'cosine' | 'l2' | 'inner';

/** One index, as it is kept. */
export type Index =
  | { kind: 'equality' | 'unique'; field: string }
  | { kind: 'range'; field: string; type: SortType }
  | { kind: 'text'; field: string; language: string }
  | { kind: 'vector'; field: string; dimensions: number; metric: Metric };

export type VectorIndex = Extract<Index, { kind: 'vector' }>;
export type TextIndex = Extract<Index, { kind: 'text' }>;

export interface CollectionSpec {
  indexes: Index[];
}

/** The declared indexes in their full form, in an order of their own. */
export function toSpec(
  schema: JsonSchema | undefined,
  declared: Record<string, IndexDeclaration | IndexDeclaration[]>,
): CollectionSpec {
  const indexes = Object.entries(declared).flatMap(([field, one]) =>
    (Array.isArray(one) ? one : [one]).flatMap((declaration) => toIndexes(checkPath(field), declaration, schema)),
  );
  if (indexes.length > MAX_INDEXES)
    throw new AtollError('VALIDATION_FAILED', `A collection has at most ${MAX_INDEXES} indexes.`);
  return { indexes: indexes.toSorted((a, b) => (indexName(a) < indexName(b) ? -1 : 1)) };
}

function toIndexes(field: string, declared: IndexDeclaration, schema: JsonSchema | undefined): Index[] {
  if (declared === 'equality' || declared === 'unique') return [{ kind: declared, field }];
  if (declared === 'range') return sortTypes(schema, field).map((type) => ({ kind: 'range', field, type }));
  if (declared === 'text') return [{ kind: 'text', field, language: 'english' }];
  if ('text' in declared) return [{ kind: 'text', field, language: declared.text }];
  return [{ kind: 'vector', field, dimensions: declared.vector, metric: declared.metric ?? 'cosine' }];
}

/** By which types a field is sorted: what its schema says, or both, numbers first. */
export function sortTypes(schema: JsonSchema | undefined, field: string): SortType[] {
  if (field === 'id') return ['string'];
  if (field === 'version') return ['number'];
  let node: JsonSchema | undefined = schema;
  for (const part of field.split('.')) node = (node?.properties as Record<string, JsonSchema> | undefined)?.[part];
  if (node?.type === 'string') return ['string'];
  return node?.type === 'number' || node?.type === 'integer' ? ['number'] : ['number', 'string'];
}

/** Whether two say the same; one may come out of the database, which orders members its own way. */
export function sameSpec(a: CollectionSpec, b: CollectionSpec): boolean {
  const names = ({ indexes }: CollectionSpec) => indexes.map(indexName).sort().join();
  return names(a) === names(b);
}

/** Names what an index is: another definition is another index. */
export function indexName(index: Index): string {
  const hash = createHash('sha256')
    .update(JSON.stringify(index, Object.keys(index).sort()))
    .digest('hex')
    .slice(0, 12);
  return `${index.kind[0]}_${hash}`;
}
