/** What the configuration reads of a JSON Schema; TypeBox schemas are JSON Schema. */
export interface SchemaNode {
  type?: string | string[];
  const?: unknown;
  description?: string;
  secret?: boolean;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  required?: string[];
  properties?: Record<string, SchemaNode>;
  patternProperties?: Record<string, SchemaNode>;
  additionalProperties?: SchemaNode | boolean;
  items?: SchemaNode | boolean;
  prefixItems?: SchemaNode[];
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
  allOf?: SchemaNode[];
  if?: SchemaNode;
  then?: SchemaNode;
  else?: SchemaNode;
  $ref?: string;
  $defs?: Record<string, SchemaNode>;
}

const isNode = (value: unknown): value is SchemaNode => typeof value === 'object' && value !== null;

/** What every key of a record has to be; undefined when the schema is no record. */
export function recordValue(node: SchemaNode): SchemaNode | undefined {
  const [pattern] = Object.values(node.patternProperties ?? {});
  return pattern ?? (isNode(node.additionalProperties) ? node.additionalProperties : undefined);
}

/** The schema of a key, by name or as a record's; undefined for unknown ones. */
export function childOf(node: SchemaNode | undefined, key: string): SchemaNode | undefined {
  if (!node) return undefined;
  if (node.properties && Object.hasOwn(node.properties, key)) return node.properties[key];
  return recordValue(node) ?? (isNode(node.items) ? node.items : undefined);
}

/** Every schema that may apply to a value next to this one, itself included: branches, conditions, definitions. */
export function alternatives(node: SchemaNode, root: SchemaNode, seen = new Set<SchemaNode>()): SchemaNode[] {
  if (seen.has(node)) return [];
  seen.add(node);
  const referred = node.$ref?.startsWith('#/$defs/') ? root.$defs?.[node.$ref.slice('#/$defs/'.length)] : undefined;
  const self = node.$ref === '#' ? root : referred;
  const others = [node.anyOf, node.oneOf, node.allOf, node.if, node.then, node.else, self].flat().filter(isNode);
  return [node, ...others.flatMap((other) => alternatives(other, root, seen))];
}

/** Every schema that may apply to a key (or an item, by its index). */
export function childrenOf(node: SchemaNode, key: string): SchemaNode[] {
  const named = node.properties && Object.hasOwn(node.properties, key) ? [node.properties[key]] : [];
  return [
    ...named,
    ...Object.values(node.patternProperties ?? {}),
    ...(named.length === 0 ? [node.additionalProperties] : []),
    node.items,
    ...(node.prefixItems ?? []),
  ].filter(isNode);
}

/** Whether a value of this schema is a secret or can contain one. */
export function holdsSecret(node: SchemaNode, root: SchemaNode, seen = new Set<SchemaNode>()): boolean {
  return alternatives(node, root, seen).some(
    (one) =>
      one.secret === true ||
      [...Object.keys(one.properties ?? {}), ''].some((key) =>
        childrenOf(one, key).some((child) => holdsSecret(child, root, seen)),
      ),
  );
}
