import { AtollError, type JsonSchema } from '@atoll/plugin-sdk/contract';
import { IN_PLACE } from './keywords.js';

const NAME = /^[A-Za-z0-9_.-]{1,100}$/;
/** The definition that stands for the whole schema, for `$ref: '#'`. */
const ROOT = 'Root';

export const refTo = (name: string): string => `#/$defs/${name}`;

/** Definitions visible at some place of a schema: the name in a reference → the name at the top. */
export class Scope {
  private constructor(
    private readonly names: ReadonlyMap<string, string>,
    private readonly definitions: Definitions,
  ) {}

  static top(definitions: Definitions): Scope {
    return new Scope(new Map(), definitions);
  }

  /** Inside of a schema with definitions of its own, which TypeBox writes where a recursive type is used. */
  within(names: readonly string[]): Scope {
    const more = names.map((name): [string, string] => [name, this.definitions.reserve(name)]);
    return new Scope(new Map([...this.names, ...more]), this.definitions);
  }

  nameOf(name: string): string | undefined {
    return this.names.get(name);
  }

  /** `#`, `#/$defs/Name` or TypeBox's bare `Name` as a reference to a definition at the top; undefined when there is none. */
  resolve(reference: unknown): string | undefined {
    if (reference === '#') return refTo(this.definitions.reserveRoot());
    if (typeof reference !== 'string') return undefined;
    const name = this.names.get(reference.startsWith('#/$defs/') ? reference.slice('#/$defs/'.length) : reference);
    return name === undefined ? undefined : refTo(name);
  }
}

/** All definitions of a schema, gathered at its top, where every tool finds them. */
export class Definitions {
  readonly #schemas = new Map<string, JsonSchema | undefined>();
  #root: string | undefined;

  reserve(name: string): string {
    if (!NAME.test(name) || name === '__proto__' || name === 'constructor') {
      throw new AtollError('MANIFEST_INVALID', `"${name.slice(0, 100)}" is no name for a definition in $defs.`);
    }
    let free = name;
    for (let n = 2; this.#schemas.has(free); n++) free = `${name}_${n}`;
    this.#schemas.set(free, undefined);
    return free;
  }

  reserveRoot(): string {
    this.#root ??= this.reserve(ROOT);
    return this.#root;
  }

  set(name: string, schema: JsonSchema): void {
    this.#schemas.set(name, schema);
  }

  /** The schema with its definitions. Throws MANIFEST_INVALID when one is nothing but itself, which no check can decide. */
  assemble(schema: JsonSchema): JsonSchema {
    if (this.#root !== undefined) this.#schemas.set(this.#root, schema);
    if (this.#schemas.size === 0) return schema;
    const $defs = Object.fromEntries(this.#schemas) as Record<string, JsonSchema>;
    refuseCircles($defs);
    return this.#root === undefined ? { ...schema, $defs } : { $defs, $ref: refTo(this.#root) };
  }
}

function refuseCircles($defs: Record<string, JsonSchema>): void {
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): void => {
    if (path.includes(name)) {
      throw new AtollError('MANIFEST_INVALID', `The definition ${[...path, name].join(' → ')} refers to itself.`);
    }
    if (done.has(name)) return;
    for (const next of inPlaceRefs($defs[name])) visit(next, [...path, name]);
    done.add(name);
  };
  for (const name of Object.keys($defs)) visit(name, []);
}

/** Definitions that are applied to the same value as the schema. */
function inPlaceRefs(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return [];
  const found: string[] = [];
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === '$ref') found.push(String(value).slice(refTo('').length));
    else if (IN_PLACE.has(keyword)) found.push(...(Array.isArray(value) ? value : [value]).flatMap(inPlaceRefs));
  }
  return found;
}
