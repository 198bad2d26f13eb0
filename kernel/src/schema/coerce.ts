import type { JsonSchema } from '@atoll/plugin-sdk/contract';

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** Visits a sanitized schema beside a value; references lead to the definitions at its top. */
export class Shaper {
  readonly #defs: Record<string, JsonSchema>;

  constructor(private readonly root: JsonSchema) {
    this.#defs = (root.$defs ?? {}) as Record<string, JsonSchema>;
  }

  /** Texts as what the schema wants; what does not convert stays as it is and fails the check. */
  coerce(value: unknown, schema: JsonSchema = this.root): unknown {
    let out = value;
    for (const part of this.#parts(schema)) out = this.#coerceBy(part, out);
    return out;
  }

  /** The value with the schema's defaults where nothing was given: the value itself when nothing was missing. */
  fill(value: unknown, schema: JsonSchema = this.root): unknown {
    let out = value;
    for (const part of this.#parts(schema)) out = this.#fillBy(part, out);
    return out;
  }

  /** Whether `fill` may change anything. */
  hasDefaults(schema: JsonSchema = this.root, seen = new Set<JsonSchema>()): boolean {
    if (seen.has(schema)) return false;
    seen.add(schema);
    const inside = (part: JsonSchema): unknown[] => [
      ...Object.values((part.properties ?? {}) as object),
      part.items,
      part.additionalProperties,
    ];
    return [...this.#parts(schema)].some(
      (part) => part.default !== undefined || inside(part).some((sub) => isObject(sub) && this.hasDefaults(sub, seen)),
    );
  }

  /** The schema, and those that apply to the same value without any condition. Definitions are free of circles. */
  *#parts(schema: JsonSchema): Generator<JsonSchema> {
    yield schema;
    const target = typeof schema.$ref === 'string' ? this.#defs[schema.$ref.slice('#/$defs/'.length)] : undefined;
    if (target) yield* this.#parts(target);
    for (const part of (schema.allOf ?? []) as JsonSchema[]) yield* this.#parts(part);
  }

  #coerceBy(schema: JsonSchema, value: unknown): unknown {
    if (isObject(value)) return this.#members(schema, value, (member, sub) => this.coerce(member, sub));
    if (schema.type === 'array') {
      const list = Array.isArray(value) ? value : value === undefined ? value : [value];
      const { items } = schema;
      return Array.isArray(list) && isObject(items) ? list.map((item) => this.coerce(item, items)) : list;
    }
    if (typeof value !== 'string') return value;
    const forms = (schema.anyOf ?? schema.oneOf) as JsonSchema[] | undefined;
    return forms ? this.#coerceUnion(forms, value) : scalar(schema.type, value);
  }

  /** The first form that the text converts to; the text itself when that is allowed. */
  #coerceUnion(forms: JsonSchema[], value: string): unknown {
    if (forms.some((form) => form.type === 'string' || form.const === value)) return value;
    for (const form of forms) {
      const converted = this.coerce(value, form);
      if (converted !== value && (form.const === undefined || form.const === converted)) return converted;
    }
    return value;
  }

  #fillBy(schema: JsonSchema, value: unknown): unknown {
    if (value === undefined) return schema.default === undefined ? value : structuredClone(schema.default);
    if (isObject(value)) return this.#members(schema, value, (member, sub) => this.fill(member, sub));
    const { items } = schema;
    if (!Array.isArray(value) || !isObject(items)) return value;
    const filled = value.map((item) => this.fill(item, items));
    return filled.some((item, at) => item !== value[at]) ? filled : value;
  }

  /** Copies the value at the first member that changes. */
  #members(
    { properties, additionalProperties }: JsonSchema,
    value: Record<string, unknown>,
    change: (member: unknown, schema: JsonSchema) => unknown,
  ): Record<string, unknown> {
    let out = value;
    const apply = (key: string, schema: JsonSchema) => {
      const before = Object.hasOwn(value, key) ? value[key] : undefined;
      const after = change(before, schema);
      if (after === before) return;
      if (out === value) out = { ...value };
      out[key] = after;
    };
    const named = (properties ?? {}) as Record<string, JsonSchema>;
    for (const [key, schema] of Object.entries(named)) apply(key, schema);
    if (isObject(additionalProperties)) {
      // A key of this name would set the prototype instead.
      for (const key of Object.keys(value))
        if (!Object.hasOwn(named, key) && key !== '__proto__') apply(key, additionalProperties);
    }
    return out;
  }
}

function scalar(type: unknown, value: string): unknown {
  const types: unknown[] = Array.isArray(type) ? type : [type];
  if (types.includes('string')) return value;
  if ((types.includes('number') || types.includes('integer')) && DECIMAL.test(value)) return Number(value);
  if (types.includes('boolean') && (value === 'true' || value === 'false')) return value === 'true';
  if (types.includes('null') && value === 'null') return null;
  return value;
}
