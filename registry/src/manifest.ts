import { AtollError } from '@atoll/plugin-sdk/contract';
import Value from 'typebox/value';
import { type Problem, show } from './manifest-problems.js';
import { isVersion, ruleProblems } from './manifest-rules.js';
import { ManifestField } from './manifest-schema.js';
import { shapeProblems, structureProblems } from './manifest-shape.js';

export { ManifestField, manifestJsonSchema } from './manifest-schema.js';

type DeepReadonly<T> = T extends readonly (infer E)[]
  ? readonly DeepReadonly<E>[]
  : T extends object
    ? { readonly [K in keyof T]: DeepReadonly<T[K]> }
    : T;

/** A checked manifest with all defaults filled in, frozen. */
export type PluginManifest = DeepReadonly<Omit<ManifestField, 'title' | 'config' | 'errors'>> & {
  /** Of the package. */
  readonly name: string;
  readonly version: string;
  readonly title: string;
  /** JSON Schema of the configuration. */
  readonly config?: Record<string, unknown>;
  readonly errors?: { readonly body: unknown; readonly types?: Record<string, string> };
};

/** Whether npm takes the text as a package's name. */
export const isPackageName = (text: string): boolean => text.length <= 214 && PACKAGE_NAME.test(text);

const PACKAGE_NAME = /^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/;

/** Checks a package.json. Throws MANIFEST_INVALID that lists each problem with its path; the message begins with `where`. */
export function parseManifest(packageJson: unknown, where: string): PluginManifest {
  const { name, version, atoll } = (packageJson ?? {}) as { name?: unknown; version?: unknown; atoll?: unknown };
  const problems = packageProblems(name, version);
  const { field, problems: inField } = checkField(atoll);
  problems.push(...inField);
  if (problems.length > 0 || !field) throw toError(where, problems);
  return deepFreeze({ ...field, name: name as string, version: version as string, title: field.title ?? field.id });
}

function packageProblems(name: unknown, version: unknown): Problem[] {
  const problems: Problem[] = [];
  if (typeof name !== 'string' || !isPackageName(name)) {
    problems.push({ path: 'name', message: `expected a package name in lower case, got ${show(name)}` });
  }
  if (typeof version !== 'string' || !isVersion(version)) {
    problems.push({ path: 'version', message: `expected a semantic version such as 1.0.0, got ${show(version)}` });
  }
  return problems;
}

function checkField(atoll: unknown): { field?: ManifestField; problems: Problem[] } {
  if (typeof atoll !== 'object' || atoll === null || Array.isArray(atoll)) {
    return { problems: [{ path: 'atoll', message: `expected an object, got ${show(atoll)}` }] };
  }
  const structure = structureProblems(atoll);
  if (structure.length > 0) return { problems: structure };
  const field = Value.Default(ManifestField, structuredClone(atoll)) as ManifestField;
  const shape = shapeProblems(field);
  return { field, problems: shape.length > 0 ? shape : ruleProblems(field) };
}

/** At most this many are told; a manifest that is wrong all over is not helped by more. */
const MAX_TOLD = 20;

function toError(where: string, problems: readonly Problem[]): AtollError {
  const told = problems.slice(0, MAX_TOLD);
  const more = problems.length > told.length ? `; and ${problems.length - told.length} more` : '';
  const list = told.map(({ path, message }) => `${path}: ${message}`).join('; ');
  const errors = told.map(({ path, message }) => ({ pointer: `/${path.replaceAll('.', '/')}`, message }));
  return new AtollError('MANIFEST_INVALID', `${where}: ${list}${more}.`, { errors });
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const member of Object.values(value)) deepFreeze(member);
  }
  return value;
}
