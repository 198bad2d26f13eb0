import type { TSchema } from 'typebox';
import Value from 'typebox/value';
import { isRecord, blameOf } from './layers.js';
import { nearest } from './nearest.js';
import { ConfigSchema } from './schema.js';
import { holdsSecret, recordValue, type SchemaNode } from './schema-node.js';

const root = ConfigSchema as SchemaNode;

type Report = (keys: readonly string[], text: string) => void;

/**
 * What is wrong with a configuration, one line per key: the key, its source, what was expected and, unless secret, what was given.
 * Walks key by key, since a validator of the whole stops after a few errors.
 */
export function findProblems(config: unknown, sources: ReadonlyMap<string, string>): string[] {
  const problems: string[] = [];
  walk(root, config, [], (keys, text) => problems.push(`${keys.join('.')} (${blameOf(keys, sources)}): ${text}`));
  return problems;
}

function walk(node: SchemaNode, value: unknown, keys: readonly string[], report: Report): void {
  const entries = recordValue(node);
  if (!node.properties && !entries) return checkLeaf(node, value, keys, report);
  if (!isRecord(value)) return report(keys, `expected an object, got ${given(node, value)}.`);
  for (const [key, item] of Object.entries(value)) {
    const child = node.properties && Object.hasOwn(node.properties, key) ? node.properties[key] : entries;
    if (!child) report([...keys, key], unknownKey(node, keys, key));
    else if (item !== undefined) walk(child, item, [...keys, key], report);
  }
  for (const key of node.required ?? []) if (value[key] === undefined) report([...keys, key], 'is missing.');
}

function unknownKey({ properties = {} }: SchemaNode, parent: readonly string[], name: string): string {
  const suggestion = nearest(name, Object.keys(properties));
  return `is no configuration key.${suggestion ? ` Did you mean ${[...parent, suggestion].join('.')}?` : ''}`;
}

function checkLeaf(node: SchemaNode, value: unknown, keys: readonly string[], report: Report): void {
  if (Value.Check(node as TSchema, value)) return;
  const items = typeof node.items === 'object' && Array.isArray(value) ? node.items : undefined;
  // A list is right or wrong by its items.
  if (items)
    for (const [at, item] of (value as unknown[]).entries()) checkLeaf(items, item, [...keys, String(at)], report);
  else report(keys, `expected ${expected(node)}, got ${given(node, value)}.`);
}

function expected({ anyOf, type, minimum, maximum, minLength }: SchemaNode): string {
  if (anyOf) return `one of ${anyOf.map((one) => JSON.stringify(one.const)).join(', ')}`;
  const bounds = [
    minimum !== undefined && `at least ${minimum}`,
    maximum !== undefined && `at most ${maximum}`,
    minLength !== undefined && `at least ${minLength} characters`,
  ].filter(Boolean);
  return [`${/^[aeio]/.test(String(type)) ? 'an' : 'a'} ${type}`, bounds.join(' and ')].filter(Boolean).join(' of ');
}

/** A wrong value may be a secret in the wrong place, so only plain values of keys that hold no secrets are shown. */
function given(node: SchemaNode, value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (isRecord(value)) return 'an object';
  if (node.properties || recordValue(node) || holdsSecret(node, root)) return `a ${typeof value} that is not shown`;
  return (JSON.stringify(value) ?? String(value)).slice(0, 200);
}
