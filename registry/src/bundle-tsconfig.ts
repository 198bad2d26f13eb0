import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import type { TsconfigRaw } from 'esbuild';
import { within } from './package-paths.js';
import { readRegular } from './regular-file.js';

/** What of a tsconfig.json changes the code that comes out. */
const FIELDS = [
  'alwaysStrict', 'baseUrl', 'experimentalDecorators', 'importsNotUsedAsValues', 'jsx', 'jsxFactory', 'jsxFragmentFactory', 'jsxImportSource',
  'paths', 'preserveValueImports', 'strict', 'target', 'useDefineForClassFields', 'verbatimModuleSyntax',
] as const; // biome-ignore format: a list

const MAX_BYTES = 262_144;
const MAX_CHAIN = 10;

type Options = NonNullable<TsconfigRaw['compilerOptions']>;

export interface OwnTsconfig {
  raw: TsconfigRaw;
  /** Absolute paths of the files it was read from. */
  files: string[];
}

/**
 * The plugin's own compiler options, not those of whatever folder it lies in: it is built the same everywhere. They are read here and not
 * by esbuild, which follows `extends` to any file and quotes it when it is no JSON; what lies outside of the folder is passed over.
 */
export async function readOwnTsconfig(dir: string, id: string): Promise<OwnTsconfig> {
  const files: string[] = [];
  const compilerOptions = await optionsOf(path.join(dir, 'tsconfig.json'), { dir, id, files });
  return { raw: { compilerOptions }, files };
}

interface Reading {
  dir: string;
  id: string;
  files: string[];
}

async function optionsOf(file: string, reading: Reading): Promise<Options> {
  const { dir, id, files } = reading;
  const real = await realpath(file).catch(() => undefined);
  if (real === undefined || files.includes(real) || files.length >= MAX_CHAIN) return {};
  const name = within(dir, file) ?? path.basename(file);
  const refuse = (why: string) => new AtollError('BUNDLE_FAILED', `${id}: ${name} ${why}`);
  if (within(dir, real) === undefined) throw refuse("leads out of the plugin's folder; copy what it leads to in");
  const text = await readRegular(real, MAX_BYTES);
  if (text === undefined) throw refuse(`can't be read: it is no regular file of at most ${MAX_BYTES} bytes`);
  files.push(real);
  const json = parse(text);
  if (json === undefined) throw refuse('is no valid JSON object');
  const inherited: Options = {};
  for (const base of basesOf(json, file, dir)) Object.assign(inherited, await optionsOf(base, reading));
  return { ...inherited, ...pick(json.compilerOptions, path.dirname(file)) };
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Files of the plugin that it extends. */
function basesOf({ extends: extended }: Json, file: string, dir: string): string[] {
  const named: unknown[] = Array.isArray(extended) ? extended : [extended];
  return named
    .filter((one) => typeof one === 'string')
    .filter((one) => /^\.\.?\//.test(one))
    .map((one) => path.resolve(path.dirname(file), one.endsWith('.json') ? one : `${one}.json`))
    .filter((one) => within(dir, one) !== undefined);
}

function pick(options: unknown, from: string): Options {
  if (!isObject(options)) return {};
  const picked = Object.fromEntries(
    FIELDS.filter((key) => Object.hasOwn(options, key)).map((key) => [key, options[key]]),
  );
  return { ...picked, ...pathsFrom(picked, from) } as Options;
}

/** Absolute: esbuild would take them from the plugin's folder, TypeScript takes them from the file in which they stand. */
function pathsFrom({ baseUrl, paths }: Json, from: string): Json {
  const base = path.resolve(from, typeof baseUrl === 'string' ? baseUrl : '.');
  const place = (target: unknown) => (typeof target === 'string' ? path.resolve(base, target) : target);
  return {
    ...(typeof baseUrl === 'string' && { baseUrl: base }),
    ...(isObject(paths) && {
      paths: Object.fromEntries(
        Object.entries(paths).map(([name, targets]) => [name, Array.isArray(targets) ? targets.map(place) : targets]),
      ),
    }),
  };
}

/** JSON with comments and trailing commas. Unterminated parts reach to the end, so that no text takes long. */
const NO_DATA = /("(?:[^"\\]|\\[\s\S]?)*(?:"|$))|\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/g;
const TRAILING_COMMA = /("(?:[^"\\]|\\[\s\S]?)*(?:"|$))|,(?=\s*[}\]])/g;

function parse(text: string): Json | undefined {
  const keepTexts = (_: string, quoted?: string): string => quoted ?? '';
  const plain = text
    .replace(/^\uFEFF/, '')
    .replace(NO_DATA, keepTexts)
    .replace(TRAILING_COMMA, keepTexts);
  try {
    const json: unknown = JSON.parse(plain);
    return isObject(json) ? json : undefined;
  } catch {
    return undefined;
  }
}
