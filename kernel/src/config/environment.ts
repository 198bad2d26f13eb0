import { nearest } from './nearest.js';
import { ConfigSchema } from './schema.js';
import { childOf, recordValue, type SchemaNode } from './schema-node.js';

export type Environment = Readonly<Record<string, string | undefined>>;

/** Short names of the public surface; all other keys are ATOLL_<SECTION>__<KEY>. */
const SHORT: Readonly<Record<string, string>> = {
  ATOLL_HOST: 'server.host',
  ATOLL_PORT: 'server.port',
  ATOLL_DATA_DIR: 'server.dataDir',
  ATOLL_ADMIN_KEY: 'auth.adminKey',
  ATOLL_MASTER_KEY: 'auth.masterKey',
  ATOLL_MASTER_KEY_PREVIOUS: 'auth.previousMasterKey',
  ATOLL_PLUGIN_PATH: 'plugins.path',
};

/** Read by commands, not part of the configuration. */
const OTHERS = new Set(['ATOLL_URL', 'ATOLL_DEV']);

export interface EnvironmentValue {
  keys: string[];
  value: unknown;
  variable: string;
}

/**
 * The configuration values in the environment, as the schema's types, and what is wrong with the names. An empty variable counts as
 * not set, for that is what container files make of absent ones.
 */
export function readEnvironment(env: Environment): { values: EnvironmentValue[]; problems: string[] } {
  const values: EnvironmentValue[] = [];
  const problems: string[] = [];
  const texts = new Map<string, { variable: string; text: string }>();
  for (const [variable, text] of Object.entries(env).sort()) {
    if (!variable.startsWith('ATOLL_') || text === undefined || text === '' || OTHERS.has(variable)) continue;
    const found = resolveVariable(variable);
    if (!found) {
      problems.push(unknownVariable(variable));
      continue;
    }
    const key = found.keys.join('.');
    const other = texts.get(key);
    if (other && other.text !== text)
      problems.push(
        `${key}: environment variables ${other.variable} and ${variable} both set it, to different values.`,
      );
    texts.set(key, { variable, text });
    values.push({ keys: found.keys, value: convert(variable, text, found.node), variable });
  }
  return { values, problems };
}

function resolveVariable(variable: string): { keys: string[]; node: SchemaNode } | undefined {
  const short = SHORT[variable];
  const parts = short ? short.split('.') : variable.slice('ATOLL_'.length).split('__');
  if (parts.length < 2) return undefined;
  const keys: string[] = [];
  let node: SchemaNode = ConfigSchema as SchemaNode;
  for (const part of parts) {
    const key = part === '' || part === '__proto__' ? undefined : keyOf(node, part, keys);
    if (key === undefined) return undefined;
    keys.push(key);
    // Below a plugin's own values nothing is known here.
    node = childOf(node, key) ?? {};
  }
  return { keys, node };
}

/** The key that a part of a variable's name means within a schema. */
function keyOf(node: SchemaNode, part: string, path: readonly string[]): string | undefined {
  if (node.properties) return Object.keys(node.properties).find((known) => plain(known) === plain(part));
  if (!recordValue(node) && node.type !== undefined) return undefined;
  if (path[0] === 'secrets') return part;
  // Plugin ids are kebab case; keys of their configuration are camel case, or as written when that has lower case.
  if (path.length === 2) return part.toLowerCase().replaceAll('_', '-');
  return part === part.toUpperCase() ? camel(part) : part;
}

const plain = (name: string): string => name.toLowerCase().replaceAll('_', '');
const snake = (name: string): string => name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
const camel = (name: string): string =>
  name.toLowerCase().replace(/_+([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

/** The variable that sets a key. */
export function variableOf(keys: readonly string[]): string {
  const short = Object.entries(SHORT).find(([, key]) => key === keys.join('.'));
  if (short) return short[0];
  // Names of secrets are taken as they are.
  const part = (key: string, at: number) => (keys[0] === 'secrets' && at === 1 ? key : snake(key).replaceAll('-', '_'));
  return `ATOLL_${keys.map(part).join('__')}`;
}

/** All variables that can be named, for suggestions. */
function knownVariables(): string[] {
  const keys = Object.entries(ConfigSchema.properties).flatMap(([section, schema]) =>
    Object.keys((schema as SchemaNode).properties ?? {}).map((key) => [section, key]),
  );
  return [...Object.keys(SHORT), ...OTHERS, ...keys.map((path) => `ATOLL_${path.map(snake).join('__')}`)];
}

function unknownVariable(variable: string): string {
  const text = `environment variable ${variable} is no configuration key.`;
  if (/^ATOLL_(SERVICE_|PORT_\d)/.test(variable))
    return `${text} Kubernetes sets it for a Service named "atoll": rename the Service or set \`enableServiceLinks: false\`.`;
  const suggestion = nearest(variable, knownVariables());
  return suggestion ? `${text} Did you mean ${suggestion}?` : `${text} \`atoll config print\` lists all keys.`;
}

/** Text as the schema's type; what does not convert stays text and is refused by the schema with its source. */
function convert(variable: string, text: string, { type }: SchemaNode): unknown {
  if (type === 'string') return text;
  if (type === 'integer' || type === 'number')
    return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
  if (type === 'boolean') return { true: true, 1: true, false: false, 0: false }[text.trim().toLowerCase()] ?? text;
  if (variable === 'ATOLL_PLUGIN_PATH') return text.split(':').filter((part) => part !== '');
  if (type === 'array' && !text.trim().startsWith('[')) return text.split(',').map((part) => part.trim());
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
