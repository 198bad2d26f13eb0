import type { Config } from './schema.js';

export interface LoadedConfig {
  config: Config;
  /**
   * Dotted key → where its value comes from: a file, an environment variable; absent for the schema's default. Of an object, whose
   * members may come from elsewhere, it is under the key with a dot behind it.
   */
  sources: Map<string, string>;
}

export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Lays values over others, key by key: objects are merged, everything else is replaced. Notes where each key comes from. */
export function merge(
  into: Record<string, unknown>,
  layer: Readonly<Record<string, unknown>>,
  source: string,
  sources: Map<string, string>,
  prefix = '',
): void {
  for (const [key, value] of Object.entries(layer)) {
    if (value === undefined || key === '__proto__') continue;
    const name = `${prefix}${key}`;
    sources.set(isRecord(value) ? `${name}.` : name, source);
    if (!isRecord(value)) into[key] = value;
    else {
      if (!Object.hasOwn(into, key) || !isRecord(into[key])) into[key] = {};
      merge(into[key] as Record<string, unknown>, value, source, sources, `${name}.`);
    }
  }
}

/** One value as a layer of its own. */
export function nest(keys: readonly string[], value: unknown): Record<string, unknown> {
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) as Record<string, unknown>;
}

/** Where a key's value comes from: what set it, or what set the list that it is in. */
export function sourceOf(keys: readonly string[], sources: ReadonlyMap<string, string>): string {
  return nearest(keys, (name) => sources.get(name)) ?? 'default';
}

/** Who is to blame for what is wrong with a key, also with one that is missing: what set it, or the object that it would be in. */
export function blameOf(keys: readonly string[], sources: ReadonlyMap<string, string>): string {
  return nearest(keys, (name) => sources.get(name) ?? sources.get(`${name}.`)) ?? 'default';
}

function nearest(keys: readonly string[], find: (name: string) => string | undefined): string | undefined {
  for (let length = keys.length; length > 0; length--) {
    const found = find(keys.slice(0, length).join('.'));
    if (found !== undefined) return found;
  }
  return undefined;
}
