/** The part of JSON Schema that values are made for. */
export interface Schema {
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  properties?: Record<string, Schema | boolean>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema | boolean;
  prefixItems?: (Schema | boolean)[];
  minItems?: number;
  maxItems?: number;
  uniqueItems?: boolean;
  minLength?: number;
  maxLength?: number;
  pattern?: string;
  format?: string;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
  multipleOf?: number;
  anyOf?: (Schema | boolean)[];
  oneOf?: (Schema | boolean)[];
  allOf?: (Schema | boolean)[];
  $ref?: string;
  [keyword: string]: unknown;
}

/**
 * Follows a local `$ref` and merges `allOf`, so that the result can be read directly. Throws RangeError for what allows
 * no value, or is no schema. `step` is told of each part, and may throw.
 */
export function resolve(schema: unknown, root: Schema, step: () => void): Schema {
  step();
  let current = toSchema(schema);
  for (let hops = 0; current.$ref !== undefined && hops < 16; hops++) {
    const { $ref, ...beside } = current;
    current = { ...pointer(root, $ref), ...beside };
  }
  assertShape(current);
  if (!current.allOf) return current;
  const { allOf, ...rest } = current;
  return allOf.map((part) => resolve(part, root, step)).reduce(merge, rest);
}

/** `true` allows everything, `false` nothing. */
function toSchema(schema: unknown): Schema {
  if (schema === true) return {};
  if (schema === false) throw new RangeError('a part of it (`false`) allows no value at all');
  if (typeof schema === 'object' && schema !== null && !Array.isArray(schema)) return schema as Schema;
  throw new RangeError(`${JSON.stringify(schema)} is not a schema`);
}

const LISTS = ['enum', 'required', 'prefixItems', 'anyOf', 'oneOf', 'allOf'] as const;
const NUMBERS = ['minItems', 'maxItems', 'minLength', 'maxLength', 'minimum', 'maximum'] as const;
const MORE_NUMBERS = ['exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'] as const;
const TEXTS = ['$ref', 'pattern', 'format'] as const;

/** What reads a schema relies on these. */
function assertShape(schema: Schema): void {
  const check = (keys: readonly string[], fits: (value: unknown) => boolean, what: string) => {
    const wrong = keys.find((key) => schema[key] !== undefined && !fits(schema[key]));
    if (wrong !== undefined) throw new RangeError(`"${wrong}" has to be ${what}`);
  };
  check(LISTS, Array.isArray, 'a list');
  check([...NUMBERS, ...MORE_NUMBERS], (value) => typeof value === 'number', 'a number');
  check(TEXTS, (value) => typeof value === 'string', 'text');
  check(['properties'], (value) => typeof value === 'object' && value !== null, 'an object');
}

function pointer(root: Schema, reference: unknown): Schema {
  if (typeof reference !== 'string' || !reference.startsWith('#'))
    throw new RangeError(`only references within the schema are followed, not ${String(reference)}`);
  let target: unknown = root;
  for (const step of reference.slice(1).split('/').filter(Boolean)) {
    const key = unescaped(step).replaceAll('~1', '/').replaceAll('~0', '~');
    const within = typeof target === 'object' && target !== null && Object.hasOwn(target, key);
    target = within ? (target as Record<string, unknown>)[key] : undefined;
  }
  if (target === undefined) throw new RangeError(`the reference ${reference} leads nowhere`);
  return toSchema(target);
}

function unescaped(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

function merge(a: Schema, b: Schema): Schema {
  return {
    ...a,
    ...b,
    ...((a.properties || b.properties) && { properties: { ...a.properties, ...b.properties } }),
    ...((a.required || b.required) && { required: [...new Set([...(a.required ?? []), ...(b.required ?? [])])] }),
  };
}

/** The one type a value will have; guessed from other keywords when the schema leaves it open. */
export function typeOf(schema: Schema): string {
  if (Array.isArray(schema.type)) return schema.type.find((type) => type !== 'null') ?? 'null';
  if (schema.type) return schema.type;
  if (schema.properties || schema.required) return 'object';
  if (schema.items || schema.prefixItems) return 'array';
  if (schema.minimum !== undefined || schema.maximum !== undefined || schema.multipleOf !== undefined) return 'number';
  return 'string';
}
