import type { Evidence } from './evidence.js';
import { makeNumber } from './generate-number.js';
import { makeString } from './generate-string.js';
import { resolve, type Schema, typeOf } from './schema.js';

const DEEPEST = 24;

export interface Making {
  root: Schema;
  evidence: Evidence;
  /** Whether optional properties are made, too; tool arguments have them only when the text speaks of them. */
  optional: 'all' | 'evident';
}

/**
 * A value that conforms to the schema, filled from the evidence where it has something to say. Throws RangeError when
 * it cannot.
 */
export function makeValue(schema: Schema | boolean, making: Making, name = '', depth = 0): unknown {
  return tryValue(resolved(schema, making), making, name, depth, true);
}

const resolved = (schema: Schema | boolean, { root, evidence }: Making): Schema =>
  resolve(schema, root, () => evidence.effort.step());

/** With `must`, a value is made even without evidence; otherwise undefined says that the text has none. */
function tryValue(schema: Schema, making: Making, name: string, depth: number, must: boolean): unknown {
  const { effort } = making.evidence;
  effort.step();
  const value = makeAny(schema, making, name, depth, must);
  // Lists and objects have written their parts already, unless they stand in the schema as they are.
  const isWhole = 'const' in schema || schema.enum !== undefined || value === schema.default;
  if (isWhole || typeof value === 'string') effort.write(JSON.stringify(value)?.length ?? 0);
  else effort.write(name.length + 1);
  return value;
}

function makeAny(schema: Schema, making: Making, name: string, depth: number, must: boolean): unknown {
  if (depth > DEEPEST) throw new RangeError('the schema is nested too deeply');
  if ('const' in schema) return schema.const;
  if (schema.enum) {
    if (schema.enum.length === 0) throw new RangeError(`"${name || 'the document'}" has an enum without any value`);
    return making.evidence.option(schema.enum) ?? (must ? (schema.default ?? schema.enum[0]) : undefined);
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices?.length) return makeChoice(choices, schema, making, name, depth, must);
  switch (typeOf(schema)) {
    case 'null':
      return null;
    case 'boolean':
      return making.evidence.flag(name) ?? (must ? (schema.default ?? false) : undefined);
    case 'integer':
    case 'number':
      return makeNumber(schema, making.evidence, name, must);
    case 'array':
      return makeArray(schema, making, name, depth, must);
    case 'object':
      return makeObject(schema, making, depth);
    default:
      return makeString(schema, making.evidence, name, must);
  }
}

/**
 * The first alternative for which there is evidence; `null` only as a last resort. A recursive one may be the only way
 * out.
 */
function makeChoice(
  choices: (Schema | boolean)[],
  outer: Schema,
  making: Making,
  name: string,
  depth: number,
  must: boolean,
): unknown {
  const { anyOf: _any, oneOf: _one, ...base } = outer;
  const possible = choices.filter((choice) => choice !== false);
  const alternatives = possible.map((choice) => ({ ...base, ...resolved(choice, making) }));
  const ordered = alternatives.sort((a, b) => Number(typeOf(a) === 'null') - Number(typeOf(b) === 'null'));
  // Deep down the simplest alternative ends the recursion.
  if (depth > DEEPEST / 4) ordered.sort((a, b) => simplicity(a) - simplicity(b));
  let failure: unknown;
  for (const alternative of ordered) {
    try {
      const value = tryValue(resolved(alternative, making), making, name, depth + 1, must);
      if (value !== undefined) return value;
    } catch (error) {
      failure = error;
    }
  }
  if (must && failure) throw failure;
  return undefined;
}

const simplicity = (schema: Schema) =>
  ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'].indexOf(typeOf(schema));

function makeObject(schema: Schema, making: Making, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  const required = new Set(schema.required);
  for (const [key, property] of Object.entries(schema.properties ?? {})) {
    const needed = required.has(key);
    // Optional parts of a deep object are left out: they may be recursive.
    if (!needed && (depth > 3 || property === false)) continue;
    const must = needed || making.optional === 'all';
    const value = tryValue(resolved(property, making), making, key, depth + 1, must);
    if (value !== undefined) define(result, key, value);
  }
  for (const key of required) {
    if (Object.hasOwn(result, key)) continue;
    const rest = typeof schema.additionalProperties === 'object' ? schema.additionalProperties : {};
    define(result, key, makeValue(rest, making, key, depth + 1));
  }
  return result;
}

/** Plain assignment would treat a property called `__proto__` as the prototype. */
function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
}

function makeArray(schema: Schema, making: Making, name: string, depth: number, must: boolean): unknown[] | undefined {
  const prefix = (schema.prefixItems ?? []).map((item) => makeValue(item, making, name, depth + 1));
  const least = schema.minItems ?? 0;
  const most = schema.maxItems ?? Math.max(least, 16);
  const item = schema.items ?? {};
  const listed = isText(item, making) ? making.evidence.list() : [];
  if (!must && listed.length === 0 && prefix.length === 0) return undefined;
  const values = [...prefix, ...listed.slice(0, Math.max(0, most - prefix.length))];
  const seen = new Set<string>();
  const isNew = (value: unknown) => !schema.uniqueItems || seen.size < seen.add(JSON.stringify(value)).size;
  const result = values.filter(isNew);
  for (let tries = 0; result.length < least && tries < least * 4; tries++) {
    const value = vary(makeValue(item, making, name, depth + 1), schema.uniqueItems ? tries : 0);
    if (isNew(value)) result.push(value);
  }
  if (result.length < least) throw new RangeError(`"${name || 'the list'}" needs ${least} different values`);
  return result.slice(0, most);
}

/** Texts of a list go in as they are only when the items ask for nothing but text. */
function isText(item: Schema | boolean, making: Making): boolean {
  const { description: _description, title: _title, type, ...limits } = resolved(item, making);
  return type === 'string' && Object.keys(limits).length === 0;
}

/** Makes the nth value differ from the ones before, where the type allows it. */
function vary(value: unknown, nth: number): unknown {
  if (nth === 0) return value;
  if (typeof value === 'string') return `${value} ${nth + 1}`;
  if (typeof value === 'number') return value + nth;
  return value;
}
