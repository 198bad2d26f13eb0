import type { JsonSchema } from '@atoll/plugin-sdk/contract';
import { Compile } from 'typebox/compile';
import { spend, stepOf } from './budget.js';
import { KEYWORDS } from './keywords.js';
import { LinearPattern } from './linear-pattern.js';

/** From this many nodes on, the schema of a list's items or a record's values is counted each time it is applied. */
const HEAVY = 20;

interface Refinement {
  check: (value: never) => boolean;
  error: (value: never) => string;
}

/**
 * A sanitized schema as it goes into the compiler: patterns run in linear time, and what can make a check long (definitions
 * that refer to each other, large schemas of items) counts its steps. Where typebox's own way is slow it is replaced.
 */
export function armSchema(plain: JsonSchema): JsonSchema {
  const { $defs, ...rest } = plain as { $defs?: Record<string, JsonSchema> };
  const armed: Record<string, JsonSchema> = {};
  const shared = $defs ? { $defs: armed } : {};
  for (const [name, schema] of Object.entries($defs ?? {})) armed[name] = counted(arm(schema, shared), schema);
  return { ...arm(rest, shared), ...shared };
}

/** The step comes first: a check stops at the first part that fails. */
function counted(schema: JsonSchema, sized: JsonSchema): JsonSchema {
  return { allOf: [{ '~refine': [stepOf(sizeOf(sized))] }, schema] };
}

function arm(schema: JsonSchema, shared: JsonSchema): JsonSchema {
  const out: JsonSchema = {};
  const refinements: Refinement[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'pattern') out.pattern = new LinearPattern(value as string);
    else if (keyword === 'uniqueItems') refinements.push(...(value === true ? [UNIQUE] : []));
    else if (keyword === 'patternProperties') refinements.push(matchingKeys(schema, shared));
    else if (keyword === 'additionalProperties' && schema.patternProperties) continue;
    else out[keyword] = armValue(keyword, value, shared);
  }
  if (refinements.length > 0) out['~refine'] = refinements;
  return out;
}

function armValue(keyword: string, value: unknown, shared: JsonSchema): unknown {
  const kind = KEYWORDS[keyword];
  if (kind === 'schemas') return (value as JsonSchema[]).map((item) => arm(item, shared));
  if (kind === 'schemaMap') return armMap(value as Record<string, JsonSchema>, shared);
  if (kind !== 'schema' && !(kind === 'schemaOrBoolean' && typeof value === 'object')) return value;
  const schema = value as JsonSchema;
  const repeated = keyword === 'items' || keyword === 'additionalProperties' || keyword === 'contains';
  return repeated && sizeOf(schema) >= HEAVY ? counted(arm(schema, shared), schema) : arm(schema, shared);
}

function armMap(map: Record<string, JsonSchema>, shared: JsonSchema): Record<string, JsonSchema> {
  return Object.fromEntries(Object.entries(map).map(([name, schema]) => [name, arm(schema, shared)]));
}

/** Schemas inside of a schema, itself included. */
function sizeOf(schema: unknown): number {
  if (typeof schema !== 'object' || schema === null) return 0;
  let size = 1;
  for (const [keyword, value] of Object.entries(schema)) {
    const kind = KEYWORDS[keyword];
    if (kind === 'schema' || kind === 'schemaOrBoolean') size += sizeOf(value);
    else if (kind === 'schemas' || kind === 'schemaMap' || kind === 'patterns')
      for (const item of Object.values(value as object)) size += sizeOf(item);
  }
  return size;
}

/** typebox copies its list of duplicates for every one of them. */
const UNIQUE: Refinement = {
  check: (value: unknown) => !Array.isArray(value) || new Set(value.map(canonical)).size === value.length,
  error: () => 'must not have duplicate items',
};

function canonical(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return typeof value === 'string' ? `"${value}` : value;
  return `{${JSON.stringify(value, sortedKeys)}`;
}

/** Steps for one value: it is copied, sorted and written. */
const CANONICAL_COST = 10;

function sortedKeys(_key: string, value: unknown): unknown {
  spend(CANONICAL_COST);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** `patternProperties` with `additionalProperties`, which typebox would run with JavaScript's own patterns. */
function matchingKeys(
  { properties = {}, patternProperties, additionalProperties = true }: JsonSchema,
  shared: JsonSchema,
) {
  const lazily = (schema: JsonSchema | boolean) => {
    let compiled: ReturnType<typeof Compile> | undefined;
    return (value: unknown): boolean => {
      if (typeof schema === 'boolean') return schema;
      compiled ??= Compile({ ...counted(arm(schema, shared), schema), ...shared } as Parameters<typeof Compile>[0]);
      return compiled.Check(value);
    };
  };
  const patterns = Object.entries(patternProperties as Record<string, JsonSchema>).map(
    ([pattern, schema]): [LinearPattern, (value: unknown) => boolean] => [new LinearPattern(pattern), lazily(schema)],
  );
  const rest = lazily(additionalProperties as JsonSchema | boolean);
  const fits = ([key, value]: [string, unknown]): boolean => {
    const matching = patterns.filter(([pattern]) => pattern.test(key));
    if (matching.length > 0) return matching.every(([, check]) => check(value));
    return Object.hasOwn(properties as object, key) || rest(value);
  };
  const wrong = (value: object) => Object.entries(value).find((entry) => !fits(entry))?.[0];
  const isRecord = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  return {
    check: (value: object) => !isRecord(value) || wrong(value) === undefined,
    error: (value: object) => `the member ${JSON.stringify(wrong(value))} is not as it should be`,
  };
}
