import type { JsonSchema } from '@atoll/plugin-sdk/contract';

export interface FieldError {
  /** JSON pointer into the value. */
  pointer: string;
  message: string;
}

/** An error as typebox reports it. */
export interface RawError {
  keyword: string;
  schemaPath: string;
  instancePath: string;
  message: string;
  params: object;
}

const MAX_ERRORS = 20;
const UNIONS = new Set(['anyOf', 'oneOf']);

/** What is wrong, one entry per place, in words for who sent the value. */
export function fieldErrors(raw: readonly RawError[], schema: JsonSchema): FieldError[] {
  const found = new Map<string, string>();
  const unions = raw.filter(({ keyword }) => UNIONS.has(keyword)).map(({ schemaPath }) => `${schemaPath}/`);
  for (const error of raw) {
    // The branches of a union say less than the union does.
    if (
      unions.some(
        (path) => error.schemaPath.startsWith(`${path}anyOf/`) || error.schemaPath.startsWith(`${path}oneOf/`),
      )
    )
      continue;
    for (const [pointer, message] of entriesOf(error, schema)) if (!found.has(pointer)) found.set(pointer, message);
  }
  const errors = [...found].slice(0, MAX_ERRORS).map(([pointer, message]) => ({ pointer, message }));
  return errors.length > 0 ? errors : [{ pointer: '', message: 'does not match the schema' }];
}

function entriesOf(
  { keyword, schemaPath, instancePath, message, params }: RawError,
  schema: JsonSchema,
): [string, string][] {
  const { requiredProperties, additionalProperties, allowedValue, allowedValues } = params as {
    requiredProperties?: string[];
    additionalProperties?: string[];
    allowedValue?: unknown;
    allowedValues?: unknown[];
  };
  const member = (name: string) => `${instancePath}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
  if (requiredProperties) return requiredProperties.map((name) => [member(name), 'is required']);
  if (additionalProperties)
    return additionalProperties.slice(0, MAX_ERRORS).map((name) => [member(name), 'is not known']);
  // A `false` schema: a member that must not be there.
  if (keyword === 'boolean')
    return [[instancePath, schemaPath.endsWith('/additionalProperties') ? 'is not known' : 'is not allowed']];
  if (keyword === 'const') return [[instancePath, `must be ${JSON.stringify(allowedValue)}`]];
  if (keyword === 'enum' && allowedValues) return [[instancePath, oneOf(allowedValues)]];
  if (UNIONS.has(keyword)) return [[instancePath, unionMessage(at(schema, schemaPath)?.[keyword])]];
  if (keyword === '~refine') return [[instancePath, (params as { message?: string }).message ?? message]];
  return [[instancePath, message]];
}

function unionMessage(forms: unknown): string {
  const constants = Array.isArray(forms) && forms.every((form: JsonSchema) => form.const !== undefined);
  return constants ? oneOf(forms.map((form: JsonSchema) => form.const)) : 'matches none of the allowed forms';
}

const oneOf = (values: unknown[]): string =>
  `must be one of ${values
    .map((value) => JSON.stringify(value))
    .join(', ')
    .slice(0, 300)}`;

/** The part of the schema at a path of typebox, `#/properties/name`; nothing where references were followed. */
function at(schema: JsonSchema, path: string): JsonSchema | undefined {
  let part: unknown = schema;
  for (const name of path.split('/').slice(1)) {
    const key = name.replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof part !== 'object' || part === null || !Object.hasOwn(part, key)) return undefined;
    part = (part as Record<string, unknown>)[key];
  }
  return part as JsonSchema;
}
