/** The part of JSON Schema that values are made for. */
export interface Schema {
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  prefixItems?: Schema[];
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
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
  [keyword: string]: unknown;
}

/** Follows a local `$ref` and merges `allOf`, so that the result can be read directly. */
export function resolve(schema: Schema, root: Schema): Schema {
  let current = schema;
  for (let hops = 0; current.$ref !== undefined && hops < 16; hops++) {
    const { $ref, ...beside } = current;
    current = { ...pointer(root, $ref), ...beside };
  }
  if (!current.allOf) return current;
  const { allOf, ...rest } = current;
  return allOf.map((part) => resolve(part, root)).reduce(merge, rest);
}

function pointer(root: Schema, reference: string): Schema {
  if (!reference.startsWith('#'))
    throw new RangeError(`only references within the schema are followed, not ${reference}`);
  let target: unknown = root;
  for (const step of reference.slice(1).split('/').filter(Boolean)) {
    const key = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
    target = (target as Record<string, unknown> | undefined)?.[key];
  }
  if (typeof target !== 'object' || target === null) throw new RangeError(`the reference ${reference} leads nowhere`);
  return target as Schema;
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
