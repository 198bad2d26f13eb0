import { AtollError } from '@atoll/plugin-sdk/contract';
import { hashOf, hasKey, jsonOf, keyOf, sortKey, textOf } from './field.js';
import type { Sql } from './sql.js';

/*
 * `where`: an object of fields. A plain value means equality; an object of operators all of them; `and`, `or` and `not` combine.
 * Comparisons are within a type: `{ price: { gt: 5 } }` finds numbers only.
 */

const MAX_DEPTH = 8;
const MAX_CONDITIONS = 200;
const MAX_LIST = 1_000;

type Scalar = string | number | boolean | null;

export interface FilterContext {
  sql: Sql;
  /** Fields with an equality or unique index. */
  hashed: ReadonlySet<string>;
}

/** A condition in SQL; `true` for an empty filter. Throws VALIDATION_FAILED. */
export function filterSql(where: unknown, context: FilterContext): string {
  const budget = { left: MAX_CONDITIONS };
  return where === undefined ? 'true' : compile(where, context, budget, 0);
}

function compile(where: unknown, context: FilterContext, budget: { left: number }, depth: number): string {
  if (depth > MAX_DEPTH) throw invalid(`\`where\` is nested more than ${MAX_DEPTH} deep`);
  if (!isObject(where)) throw invalid('`where` has to be an object');
  const nested = (inner: unknown) => compile(inner, context, budget, depth + 1);
  const parts = Object.entries(where).map(([key, value]) => {
    if (--budget.left < 0) throw invalid(`\`where\` has more than ${MAX_CONDITIONS} conditions`);
    if (key === 'and' || key === 'or') {
      if (!Array.isArray(value)) throw invalid(`\`${key}\` has to be a list of filters`);
      return combine(value.map(nested), key);
    }
    // Unknown (of absent fields) counts as false, so that what is not found by a filter is found by its opposite.
    if (key === 'not') return `((${nested(value)}) is not true)`;
    return field(key, value, context, budget);
  });
  return combine(parts, 'and');
}

function combine(parts: string[], word: 'and' | 'or'): string {
  if (parts.length === 0) return word === 'and' ? 'true' : 'false';
  return parts.length === 1 ? parts[0]! : `(${parts.join(` ${word} `)})`;
}

function field(path: string, value: unknown, context: FilterContext, budget: { left: number }): string {
  if (!isObject(value)) return equals(path, value, context);
  const operators = Object.entries(value);
  if (operators.length === 0) throw invalid(`${path}: an operator is missing`);
  return combine(
    operators.map(([name, operand]) => {
      if (--budget.left < 0) throw invalid(`\`where\` has more than ${MAX_CONDITIONS} conditions`);
      const operator = Object.hasOwn(OPERATORS, name) ? OPERATORS[name] : undefined;
      if (!operator)
        throw invalid(`${path}: "${name.slice(0, 50)}" is no operator; there are ${Object.keys(OPERATORS).join(', ')}`);
      return operator(path, operand, context);
    }),
    'and',
  );
}

type Operator = (path: string, operand: unknown, context: FilterContext) => string;

const OPERATORS: Record<string, Operator> = {
  eq: (path, operand, context) => equals(path, operand, context),
  ne: (path, operand, context) => `((${equals(path, operand, context)}) is not true)`,
  in: (path, operand, context) => among(path, operand, context),
  nin: (path, operand, context) => `((${among(path, operand, context)}) is not true)`,
  gt: (path, operand, context) => compare(path, '>', operand, context),
  gte: (path, operand, context) => compare(path, '>=', operand, context),
  lt: (path, operand, context) => compare(path, '<', operand, context),
  lte: (path, operand, context) => compare(path, '<=', operand, context),
  exists: (path, operand) => {
    if (typeof operand !== 'boolean') throw invalid(`${path}: \`exists\` takes true or false`);
    return `(${jsonOf(path)} is ${operand ? 'not ' : ''}null)`;
  },
  startsWith: (path, operand, { sql }) => {
    if (typeof operand !== 'string') throw invalid(`${path}: \`startsWith\` takes a text`);
    return `starts_with(${textOf(path)}, ${sql.value(text(operand))}::text)`;
  },
  contains: (path, operand, { sql }) => {
    const json = jsonOf(path);
    const inList = `(jsonb_typeof(${json}) = 'array' and ${json} @> ${sql.value(JSON.stringify([scalar(path, operand)]))}::jsonb)`;
    if (typeof operand !== 'string') return inList;
    return `(${inList} or (jsonb_typeof(${json}) = 'string' and position(${sql.value(operand)} in ${json} #>> '{}') > 0))`;
  },
};

function equals(path: string, operand: unknown, { sql, hashed }: FilterContext): string {
  const value = scalar(path, operand);
  if (path === 'id') return typeof value === 'string' ? `id = ${sql.value(value)}` : 'false';
  const json = jsonOf(path);
  if (value === null) return `(${json} is null or ${json} = 'null'::jsonb)`;
  const parameter = `${sql.value(JSON.stringify(value))}::jsonb`;
  const same = `${json} = ${parameter}`;
  if (!hashed.has(path)) return same;
  // The planner takes two conditions for independent, and would expect next to nothing. Of COALESCE it expects nothing in particular.
  return `(${hashOf(json)} = ${hashOf(parameter)} and coalesce(${same}, false))`;
}

function among(path: string, operand: unknown, context: FilterContext): string {
  if (!Array.isArray(operand)) throw invalid(`${path}: \`in\` and \`nin\` take a list`);
  if (operand.length > MAX_LIST) throw invalid(`${path}: a list of more than ${MAX_LIST} values`);
  const values = operand.map((value) => scalar(path, value));
  const parts: string[] = [];
  if (values.includes(null)) parts.push(equals(path, null, context));
  const present = values.filter((value) => value !== null);
  if (present.length > 0) parts.push(amongPresent(path, present, context));
  return combine(parts, 'or');
}

function amongPresent(path: string, values: Scalar[], { sql, hashed }: FilterContext): string {
  if (path === 'id') return `id = any(${sql.value(values.filter((value) => typeof value === 'string'))}::text[])`;
  const json = jsonOf(path);
  const list = `${sql.value(values.map((value) => JSON.stringify(value)))}::jsonb[]`;
  const same = `${json} = any(${list})`;
  if (!hashed.has(path)) return same;
  return `(${hashOf(json)} = any(array(select ${hashOf('one')} from unnest(${list}) as one)) and ${same})`;
}

function compare(path: string, operator: string, operand: unknown, { sql }: FilterContext): string {
  if (typeof operand === 'string') return compareTexts(path, operator, sql.value(text(operand)));
  if (typeof operand !== 'number') throw invalid(`${path}: comparisons take a number or a text`);
  if (path === 'id') return 'false';
  const condition = `${sortKey(path, 'number')} ${operator} ${sql.value(operand)}::float8`;
  // What sorts behind everything has no number.
  return operator.startsWith('>') ? `(${condition} and ${hasKey(path, 'number')})` : condition;
}

/** By the key, for which there may be an index, and then exactly. */
function compareTexts(path: string, operator: string, parameter: string): string {
  if (path === 'version') return 'false';
  const value = `${parameter}::text collate "C"`;
  if (path === 'id') return `id ${operator} ${value}`;
  const wide = operator.startsWith('>') ? '>=' : '<=';
  return `(${sortKey(path, 'string')} ${wide} ${keyOf(value)} and ${textOf(path)} ${operator} ${value})`;
}

function scalar(path: string, value: unknown): Scalar {
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return value;
  if (typeof value === 'string') return text(value);
  throw invalid(`${path}: compared with something that is no text, number, boolean or null`);
}

/** PostgreSQL's texts can't hold U+0000, nor half a character; so no document has such a text. */
function text(value: string): string {
  if (value.includes('\0') || !value.isWellFormed()) throw invalid('a text with U+0000 or half a surrogate pair');
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(what: string): AtollError {
  return new AtollError('VALIDATION_FAILED', `The filter is wrong: ${what}.`);
}
