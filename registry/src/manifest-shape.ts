import { Compile } from 'typebox/compile';
import { keysOf, nearest, type Problem, show } from './manifest-problems.js';
import { ManifestField } from './manifest-schema.js';

const compiled = Compile(ManifestField);
const MAX_DEPTH = 64;

/** What must hold before the value may be copied or walked: it ends somewhere, and no key changes a prototype. */
export function structureProblems(value: unknown, path = 'atoll', depth = 0): Problem[] {
  if (typeof value !== 'object' || value === null) return [];
  if (depth > MAX_DEPTH) return [{ path, message: `is nested more than ${MAX_DEPTH} levels deep` }];
  if (Object.hasOwn(value, '__proto__')) return [{ path: `${path}.__proto__`, message: 'is not allowed as a key' }];
  return Object.entries(value).flatMap(([key, member]) => structureProblems(member, `${path}.${key}`, depth + 1));
}

/** What the schema finds, one problem per place. */
export function shapeProblems(field: unknown): Problem[] {
  if (compiled.Check(field)) return [];
  const found = new Map<string, string>();
  for (const { keyword, schemaPath, instancePath, message, params } of compiled.Errors(field)) {
    // A `false` schema repeats what `additionalProperties` has said, and `propertyNames` what was said of each name.
    if (keyword === 'boolean' || keyword === 'propertyNames') continue;
    const keys = keysOf(instancePath);
    const path = ['atoll', ...keys].join('.');
    const { additionalProperties, requiredProperties, pattern } = params as {
      additionalProperties?: string[];
      requiredProperties?: string[];
      pattern?: string;
    };
    if (schemaPath.endsWith('/propertyNames')) {
      found.set(path, `expected a key that matches ${pattern}, got ${show(keys.at(-1))}`);
      continue;
    }
    if (additionalProperties)
      for (const key of additionalProperties) found.set(`${path}.${key}`, unknownKey(key, instancePath));
    else if (requiredProperties)
      for (const key of requiredProperties) found.set(`${path}.${key}`, missingKey(instancePath, key));
    else if (!found.has(path))
      found.set(
        path,
        `expected ${expected(schemaAt(instancePath), keyword, message)}, got ${show(valueAt(field, instancePath))}`,
      );
  }
  return [...found].map(([path, message]) => ({ path, message }));
}

/** The parts of a JSON Schema that the messages need. */
interface SchemaNode {
  type?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
  pattern?: string;
  properties?: Record<string, SchemaNode>;
  patternProperties?: Record<string, SchemaNode>;
  items?: SchemaNode;
  anyOf?: { const?: unknown }[];
}

function schemaAt(pointer: string): SchemaNode {
  let at = ManifestField as SchemaNode;
  for (const key of keysOf(pointer))
    at = at.properties?.[key] ?? at.items ?? Object.values(at.patternProperties ?? {})[0] ?? {};
  return at;
}

function valueAt(value: unknown, pointer: string): unknown {
  return keysOf(pointer).reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], value);
}

const NOUNS: Record<string, string> = {
  object: 'an object',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
  integer: 'an integer',
};

function expected(schema: SchemaNode, keyword: string, message: string): string {
  if (schema.anyOf) return `one of ${schema.anyOf.map((one) => show(one.const)).join(', ')}`;
  const noun = NOUNS[schema.type ?? ''];
  if (!noun) return message;
  switch (keyword) {
    case 'type':
      return schema.minimum === undefined ? noun : `${noun} of at least ${schema.minimum}`;
    case 'minimum':
      return `${noun} of at least ${schema.minimum}`;
    case 'maximum':
      return `${noun} of at most ${schema.maximum}`;
    case 'minLength':
      return 'text that is not empty';
    case 'maxLength':
      return `text of at most ${schema.maxLength} characters`;
    case 'maxItems':
      return `a list of at most ${schema.maxItems} entries`;
    case 'maxProperties':
      return `an object of at most ${schema.maxProperties} entries`;
    case 'pattern':
      return `text that matches ${schema.pattern}`;
    default:
      return message;
  }
}

function unknownKey(key: string, pointer: string): string {
  const known = Object.keys(schemaAt(pointer).properties ?? {});
  const meant = nearest(key, known);
  return meant ? `is not a known key; did you mean "${meant}"?` : `is not a known key; known are ${known.join(', ')}`;
}

function missingKey(pointer: string, key: string): string {
  const schema = schemaAt(pointer).properties?.[key];
  return `expected ${NOUNS[schema?.type ?? ''] ?? 'a value'}, got nothing`;
}
