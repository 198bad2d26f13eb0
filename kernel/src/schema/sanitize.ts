import { AtollError, type JsonSchema } from '@atoll/plugin-sdk/contract';
import { FORMATS, KEYWORDS, type Kind, TYPES } from './keywords.js';
import { LinearPattern } from './linear-pattern.js';
import { patternSize } from './pattern-size.js';
import { Definitions, Scope } from './references.js';

/*
 * Plugins' schemas are compiled to code in the kernel's process. So a schema is rebuilt from keywords that are known to be
 * harmless, with values of the right type, and with references to its own definitions only.
 */
const MAX_DEPTH = 32;
const MAX_NODES = 5_000;
/** All constants, defaults and examples of a schema together, as JSON. */
const MAX_JSON = 262_144;
/** Instructions of all its patterns; see `patternSize`. */
const MAX_PATTERNS = 50_000;
/** TypeBox's pattern of a record with any key. */
const ANY_KEY = new Set(['^.*$', '^(.*)$']);

/** Rebuilds an untrusted schema as plain JSON Schema. Throws MANIFEST_INVALID that says where it is unacceptable. */
export function sanitizeSchema(schema: JsonSchema): JsonSchema {
  const definitions = new Definitions();
  const rebuilder = new Rebuilder(definitions);
  return definitions.assemble(rebuilder.schema(schema, { pointer: '', depth: 0, scope: Scope.top(definitions) }));
}

interface Place {
  pointer: string;
  depth: number;
  scope: Scope;
}

function refuse({ pointer }: { pointer: string }, why: string): never {
  throw new AtollError('MANIFEST_INVALID', `A schema is unacceptable at ${pointer.slice(0, 200) || '/'}: ${why}.`);
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

class Rebuilder {
  #nodes = 0;
  #json = 0;
  #patterns = 0;

  constructor(private readonly definitions: Definitions) {}

  schema(source: unknown, outer: Place): JsonSchema {
    if (!isObject(source)) refuse(outer, 'expected a schema object');
    if (outer.depth > MAX_DEPTH || ++this.#nodes > MAX_NODES) refuse(outer, 'it is too deep or too large');
    const place = this.#withDefinitions(source, outer);
    const out: JsonSchema = {};
    for (const [keyword, value] of Object.entries(source)) {
      const kind = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
      // Annotations of tools ($id, x-…) mean nothing here.
      if (kind === undefined || value === undefined) continue;
      out[keyword] = this.#value(kind, value, { ...place, pointer: `${place.pointer}/${keyword}` });
    }
    if (source.$ref !== undefined) out.$ref = this.#reference(source.$ref, place);
    return withoutAnyKeyPattern(out);
  }

  #withDefinitions(source: Record<string, unknown>, outer: Place): Place {
    if (source.$defs === undefined) return outer;
    if (!isObject(source.$defs)) refuse(outer, 'expected $defs to be an object of schemas');
    const scope = outer.scope.within(Object.keys(source.$defs));
    for (const [name, schema] of Object.entries(source.$defs)) {
      const place = { pointer: `${outer.pointer}/$defs/${name}`, depth: outer.depth + 1, scope };
      this.definitions.set(scope.nameOf(name)!, this.schema(schema, place));
    }
    return { ...outer, scope };
  }

  #reference(reference: unknown, place: Place): string {
    return (
      place.scope.resolve(reference) ?? refuse(place, 'expected $ref to name one of its own $defs: #/$defs/<name>')
    );
  }

  #value(kind: Kind, value: unknown, place: Place): unknown {
    switch (kind) {
      case 'number':
        return typeof value === 'number' && Number.isFinite(value) ? value : refuse(place, 'expected a number');
      case 'count':
        return Number.isSafeInteger(value) && (value as number) >= 0 ? value : refuse(place, 'expected a whole number');
      case 'boolean':
        return typeof value === 'boolean' ? value : refuse(place, 'expected true or false');
      case 'string':
        return this.#text(value, place);
      case 'strings':
        return this.#list(value, place).map((item) => this.#text(item, place));
      case 'values':
        return this.#list(value, place).map((item) => this.#copy(item, place));
      case 'json':
        return this.#copy(value, place);
      case 'type':
        return typeOf(value, place);
      case 'pattern':
        return this.#pattern(value, place);
      case 'format':
        return FORMATS.has(value as string) ? value : refuse(place, `expected one of ${[...FORMATS].join(', ')}`);
      default:
        return this.#schemas(kind, value, place);
    }
  }

  #schemas(kind: Kind, value: unknown, place: Place): unknown {
    const below = (at: string) => ({
      ...place,
      depth: place.depth + 1,
      pointer: at ? `${place.pointer}/${at}` : place.pointer,
    });
    if (kind === 'schemaOrBoolean' && typeof value === 'boolean') return value;
    if (kind === 'schema' || kind === 'schemaOrBoolean') return this.schema(value, below(''));
    if (kind === 'schemas') {
      const list = this.#list(value, place);
      if (list.length === 0) refuse(place, 'expected at least one schema');
      return list.map((item, at) => this.schema(item, below(String(at))));
    }
    if (!isObject(value)) refuse(place, 'expected an object of schemas');
    const out: Record<string, JsonSchema> = {};
    for (const [name, schema] of Object.entries(value)) {
      if (name === '__proto__' || name === 'constructor') refuse(below(name), 'this name is not allowed');
      if (kind === 'patterns') this.#pattern(name, below(name));
      out[name] = this.schema(schema, below(name));
    }
    return out;
  }

  #list(value: unknown, place: Place): unknown[] {
    if (!Array.isArray(value)) refuse(place, 'expected a list');
    return value;
  }

  #text(value: unknown, place: Place): string {
    return typeof value === 'string' ? (this.#copy(value, place) as string) : refuse(place, 'expected text');
  }

  #pattern(value: unknown, place: Place): string {
    if (typeof value !== 'string') refuse(place, 'expected a pattern');
    this.#patterns += patternSize(value);
    if (this.#patterns > MAX_PATTERNS) refuse(place, 'its patterns are too large together');
    try {
      return new LinearPattern(value).toString();
    } catch (error) {
      refuse(place, `the pattern does not run in linear time (RE2): ${(error as Error).message}`);
    }
  }

  #copy(value: unknown, place: Place): unknown {
    const text = jsonText(value);
    if (text === undefined) refuse(place, 'expected a JSON value');
    this.#json += text.length;
    if (this.#json > MAX_JSON) refuse(place, `its texts and values have more than ${MAX_JSON} characters`);
    return JSON.parse(text);
  }
}

/** Undefined for what JSON can't hold, and for what is nested so deeply that writing it overflows the stack. */
function jsonText(value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

function typeOf(value: unknown, place: Place): unknown {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const known = list.length > 0 && list.every((type) => TYPES.has(type));
  if (!known) refuse(place, `expected one of ${[...TYPES].join(', ')}`);
  return Array.isArray(value) ? [...value] : value;
}

/** A record of anything needs no look at its keys. */
function withoutAnyKeyPattern(schema: JsonSchema): JsonSchema {
  const { patternProperties, ...rest } = schema;
  const [only, ...others] = Object.entries((patternProperties ?? {}) as Record<string, JsonSchema>);
  if (!only || others.length > 0 || !ANY_KEY.has(only[0])) return schema;
  if (rest.properties !== undefined || rest.additionalProperties !== undefined) return schema;
  return { ...rest, additionalProperties: only[1] };
}
