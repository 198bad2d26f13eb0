import { variableOf } from './environment.js';
import { type LoadedConfig, sourceOf } from './layers.js';
import { MASK, maskBySchema, maskConfig } from './mask.js';
import { ConfigSchema } from './schema.js';
import { childOf, recordValue, type SchemaNode } from './schema-node.js';

export interface ConfigLine {
  key: string;
  /** Secrets are masked. */
  value: unknown;
  source: string;
  description: string;
  /** The environment variable that sets it. */
  variable: string;
}

export interface DescribeOptions {
  /** Plugin id → its `config` schema, which says what is secret in there. */
  pluginSchemas?: Readonly<Record<string, unknown>>;
}

/** Names that are masked in the values of a plugin whose schema is not at hand. */
const LIKELY_SECRET = /key|token|secret|password|passwd|credential|authorization/i;

/** Every key with its masked value, source and meaning; records have a line for each entry's values. */
export function describeConfig(loaded: LoadedConfig, options: DescribeOptions = {}): ConfigLine[] {
  const masked = maskConfig(loaded.config);
  const config = Object.entries(masked.plugins.config).map(([id, values]) => [id, maskPlugin(id, values, options)]);
  const shown = { ...masked, plugins: { ...masked.plugins, config: Object.fromEntries(config) } };
  return linesOf(ConfigSchema as SchemaNode, shown, [], '', loaded.sources);
}

function maskPlugin(id: string, values: Record<string, unknown>, { pluginSchemas }: DescribeOptions): unknown {
  if (pluginSchemas && Object.hasOwn(pluginSchemas, id)) return maskBySchema(pluginSchemas[id], values);
  const byName = ([key, value]: [string, unknown]) => [key, LIKELY_SECRET.test(key) ? MASK : value];
  return Object.fromEntries(Object.entries(values).map(byName));
}

function linesOf(
  node: SchemaNode,
  value: unknown,
  keys: readonly string[],
  description: string,
  sources: ReadonlyMap<string, string>,
): ConfigLine[] {
  const text = node.description ?? description;
  const entries = (value ?? {}) as Record<string, unknown>;
  const names = node.properties ? Object.keys(node.properties) : recordValue(node) ? Object.keys(entries) : [];
  if (names.length === 0)
    return [
      { key: keys.join('.'), value, source: sourceOf(keys, sources), description: text, variable: variableOf(keys) },
    ];
  return names.flatMap((name) => linesOf(childOf(node, name) ?? {}, entries[name], [...keys, name], text, sources));
}
