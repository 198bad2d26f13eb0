import semver from 'semver';
import { nearest, type Problem, show } from './manifest-problems.js';
import type { ManifestField } from './manifest-schema.js';

/** Paths of the kernel; a plugin can own neither them nor anything above or below them. */
const RESERVED = [
  '/health', '/metrics', '/openapi.json', '/ws', '/api/v1/plugins', '/api/v1/auth', '/api/v1/users', '/api/v1/api-keys',
  '/api/v1/organisations', '/api/v1/roles', '/api/v1/permissions', '/api/v1/limits', '/api/v1/secrets', '/api/v1/audit', '/api/v1/marketplace', '/api/v1/gpu', '/api/v1/nodes', '/api/v1/jobs',
]; // biome-ignore format: a list

const SERVICE = /^[A-Za-z][A-Za-z0-9._-]{0,63}$/;
const PLUGIN_ID = /^[a-z][a-z0-9-]{0,63}$/;
const SECRET = /^[A-Za-z_][A-Za-z0-9_.-]{0,127}$/;
const TOPIC = /^([A-Za-z0-9_-]+|\*)(\.([A-Za-z0-9_-]+|\*))*(\.\*\*)?$|^\*\*$/;
const ENTRY = /\.(ts|mts|tsx|js|mjs|jsx)$/;

type Rule = (field: ManifestField) => Problem[];

const problem = (path: string, message: string): Problem => ({ path: `atoll.${path}`, message });
const each = <T>(values: readonly T[], path: string, test: (value: T) => string | undefined): Problem[] =>
  values.flatMap((value, at) => {
    const message = test(value);
    return message === undefined ? [] : [problem(`${path}.${at}`, message)];
  });
const eachEntry = (
  record: Readonly<Record<string, string>>,
  path: string,
  test: (key: string, value: string) => string | undefined,
): Problem[] =>
  Object.entries(record).flatMap(([key, value]) => {
    const message = test(key, value);
    return message === undefined ? [] : [problem(`${path}.${key}`, message)];
  });

const rangeProblem = (range: string) =>
  semver.validRange(range) === null ? `expected a semver range such as ^1.0.0, got ${show(range)}` : undefined;

/** A version as npm wants it: complete, without `v`. */
export const isVersion = (text: string): boolean => semver.valid(text) === text.split('+')[0];

const engine: Rule = (field) => {
  const message = rangeProblem(field.engine);
  return message === undefined ? [] : [problem('engine', message)];
};

const entry: Rule = ({ entry: file }) => {
  const outside = /^[/\\]|^[a-z]:|\\|(^|\/)\.\.(\/|$)/i.test(file);
  if (outside) return [problem('entry', `expected a path inside the package, such as src/index.ts, got ${show(file)}`)];
  return ENTRY.test(file) ? [] : [problem('entry', `expected a TypeScript or JavaScript file, got ${show(file)}`)];
};

const dependencies: Rule = (field) =>
  (['dependencies', 'optionalDependencies', 'conflicts'] as const).flatMap((kind) =>
    eachEntry(field[kind], kind, (id, range) => {
      if (!PLUGIN_ID.test(id)) return 'expected a plugin id: lower case letters, digits and dashes';
      if (id !== field.id) return rangeProblem(range);
      return kind === 'conflicts' ? 'a plugin cannot conflict with itself' : 'a plugin cannot depend on itself';
    }),
  );

const services: Rule = (field) => [
  ...eachEntry(field.provides, 'provides', (name, version) => {
    if (!SERVICE.test(name)) return 'expected a service name: letters, digits, dots and dashes';
    return isVersion(version) ? undefined : `expected a semantic version such as 1.0.0, got ${show(version)}`;
  }),
  ...eachEntry(field.consumes, 'consumes', (name, range) =>
    SERVICE.test(name) ? rangeProblem(range) : 'expected a service name: letters, digits, dots and dashes',
  ),
];

const mounts: Rule = (field) =>
  each(field.mounts, 'mounts', (mount) => {
    if (field.mounts.indexOf(mount) !== field.mounts.lastIndexOf(mount)) return `is listed twice: ${show(mount)}`;
    if (!/^(\/[A-Za-z0-9._~-]+)+$/.test(mount) || /\/\.\.?(\/|$)/.test(mount)) {
      return `expected a path such as /api/v1/greeter, with a slash at its start and none at its end, got ${show(mount)}`;
    }
    const lower = mount.toLowerCase();
    const clash = RESERVED.find(
      (path) => lower === path || lower.startsWith(`${path}/`) || path.startsWith(`${lower}/`),
    );
    return clash === undefined ? undefined : `${show(mount)} clashes with the kernel's own ${clash}`;
  });

const net: Rule = (field) =>
  each(field.permissions.net, 'permissions.net', (text) => {
    if (text.startsWith('config:')) return configKeyProblem(field, text.slice('config:'.length));
    return text === '*' || isOrigin(text)
      ? undefined
      : `expected an origin such as https://api.example.com, config:<key> or *, got ${show(withoutUserInfo(text))}`;
  });

/** Whatever stands before an `@` may be a name and a password. */
const withoutUserInfo = (text: string): string => text.replace(/^(https?:\/\/)?.*@/is, '$1…@');

function isOrigin(text: string): boolean {
  const shape = /^https?:\/\/(\*\.)?(\[[0-9a-f:.]+\]|[a-z0-9][a-z0-9.-]*)(:\d{1,5})?$/i.test(text);
  return shape && URL.canParse(text.replace('//*.', '//wildcard.'));
}

function configKeyProblem({ config }: ManifestField, key: string): string | undefined {
  const known = Object.keys((config?.properties ?? {}) as object);
  if (known.includes(key)) return undefined;
  const meant = nearest(key, known);
  const hint = meant ? `; did you mean "${meant}"?` : '';
  return `names the configuration key "${key}", which \`config\` does not have${hint}`;
}

const secrets: Rule = (field) =>
  each(field.permissions.secrets, 'permissions.secrets', (name) =>
    SECRET.test(name) ? undefined : `expected a name such as EXAMPLE_KEY, got ${show(name)}`,
  );

const topics: Rule = (field) =>
  (['publish', 'subscribe'] as const).flatMap((kind) =>
    each(field.permissions.events[kind], `permissions.events.${kind}`, (topic) =>
      TOPIC.test(topic) ? undefined : `expected a topic such as user.created, user.* or user.**, got ${show(topic)}`,
    ),
  );

const config: Rule = ({ config: schema }) =>
  schema === undefined || schema.type === 'object'
    ? []
    : [problem('config', `expected a JSON Schema with "type": "object", got ${show(schema.type)} as its type`)];

const errorTypes: Rule = ({ errors }) =>
  eachEntry(errors?.types ?? {}, 'errors.types', (status) =>
    /^[1-5](\d\d|xx)$/.test(status) ? undefined : 'expected a status such as 429, or a class such as 4xx',
  );

const RULES: readonly Rule[] = [
  engine,
  entry,
  mounts,
  dependencies,
  services,
  net,
  secrets,
  topics,
  config,
  errorTypes,
];

/** What a schema can't say: ranges, versions, paths, origins, topics. The field must have the schema's shape. */
export function ruleProblems(field: ManifestField): Problem[] {
  return RULES.flatMap((rule) => rule(field));
}
