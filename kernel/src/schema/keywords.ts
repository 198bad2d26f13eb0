/** What a keyword's value has to be. */
export type Kind =
  | 'number'
  | 'count'
  | 'boolean'
  | 'string'
  | 'strings'
  | 'json'
  | 'schema'
  | 'schemas'
  | 'schemaMap'
  | 'schemaOrBoolean'
  | 'type'
  | 'pattern'
  | 'patterns'
  | 'format'
  | 'values';

/** The JSON Schema keywords that plugins may use. `$ref` and `$defs` are resolved apart from these. */
export const KEYWORDS: Readonly<Record<string, Kind>> = {
  type: 'type', properties: 'schemaMap', required: 'strings', additionalProperties: 'schemaOrBoolean', items: 'schemaOrBoolean',
  patternProperties: 'patterns', prefixItems: 'schemas', contains: 'schema', minContains: 'count', maxContains: 'count',
  minItems: 'count', maxItems: 'count', uniqueItems: 'boolean', minProperties: 'count', maxProperties: 'count', minLength: 'count',
  maxLength: 'count', pattern: 'pattern', format: 'format', minimum: 'number', maximum: 'number', exclusiveMinimum: 'number',
  exclusiveMaximum: 'number', multipleOf: 'number', const: 'json', enum: 'values', anyOf: 'schemas', oneOf: 'schemas',
  // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
  allOf: 'schemas', not: 'schema', if: 'schema', then: 'schema', else: 'schema', title: 'string', description: 'string',
  default: 'json', examples: 'json', deprecated: 'boolean', readOnly: 'boolean', writeOnly: 'boolean', secret: 'boolean',
}; // biome-ignore format: a table

/** Keywords whose schemas look at the very value that the schema itself looks at. */
export const IN_PLACE: ReadonlySet<string> = new Set(['anyOf', 'oneOf', 'allOf', 'not', 'if', 'then', 'else']);

export const FORMATS: ReadonlySet<string> = new Set([
  'date', 'date-time', 'time', 'email', 'hostname', 'ipv4', 'ipv6', 'uri', 'url', 'uuid', 'byte', 'binary', 'int32', 'int64',
]); // biome-ignore format: a table

export const TYPES: ReadonlySet<unknown> = new Set([
  'null',
  'boolean',
  'object',
  'array',
  'number',
  'integer',
  'string',
]);
