import { type Config, ConfigSchema } from './schema.js';
import { alternatives, childrenOf, type SchemaNode } from './schema-node.js';

export const MASK = '********';

/** A copy in which every value that the JSON Schema marks `secret: true`, in whichever of its branches, is masked. */
export function maskBySchema(schema: unknown, value: unknown): unknown {
  const root = (typeof schema === 'object' && schema !== null ? schema : {}) as SchemaNode;
  return mask([root], root, value);
}

export function maskConfig(config: Config): Config {
  return maskBySchema(ConfigSchema, config) as Config;
}

function mask(nodes: readonly SchemaNode[], root: SchemaNode, value: unknown): unknown {
  const applying = nodes.flatMap((node) => alternatives(node, root));
  if (value !== undefined && value !== null && applying.some(({ secret }) => secret === true)) return MASK;
  if (typeof value !== 'object' || value === null) return value;
  const child = (key: string, item: unknown) =>
    mask(
      applying.flatMap((node) => childrenOf(node, key)),
      root,
      item,
    );
  if (Array.isArray(value)) return value.map((item, at) => child(String(at), item));
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, child(key, item)]));
}
