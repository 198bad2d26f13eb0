import { readdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type PluginManifest, parseManifest } from './manifest.js';

/** A plugin package as a folder on disk. */
export interface PluginFolder {
  /** Absolute. */
  dir: string;
  manifest: PluginManifest;
  /** The whole package.json, as it was read. */
  packageJson: Readonly<Record<string, unknown>>;
}

/** Reads one plugin package. Throws MANIFEST_INVALID. */
export async function readPluginFolder(dir: string): Promise<PluginFolder> {
  const folder = await tryReadFolder(path.resolve(dir));
  if (folder) return folder;
  throw new AtollError('MANIFEST_INVALID', `${dir} is no plugin: it has no package.json with an "atoll" field.`);
}

export interface FolderScan {
  folders: PluginFolder[];
  problems: { dir: string; error: AtollError }[];
}

/** The plugins of a folder, which is one itself or holds some. A bad one is a problem in the result, never a throw. */
export async function listPluginFolders(root: string): Promise<FolderScan> {
  const scan: FolderScan = { folders: [], problems: [] };
  const top = path.resolve(root);
  if (!(await scanInto(scan, top))) for (const dir of await subfolders(top)) await scanInto(scan, dir);
  return scan;
}

/** Whether the folder is a plugin package, good or bad. */
async function scanInto(scan: FolderScan, dir: string): Promise<boolean> {
  try {
    const folder = await tryReadFolder(dir);
    if (folder) scan.folders.push(folder);
    return folder !== undefined;
  } catch (error) {
    scan.problems.push({
      dir,
      error: error instanceof AtollError ? error : new AtollError('MANIFEST_INVALID', `${dir}: ${String(error)}`),
    });
    return true;
  }
}

async function subfolders(root: string): Promise<string[]> {
  const entries = await readdir(root, { withFileTypes: true }).catch(() => []);
  const named = entries
    .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
    .map(({ name }) => path.join(root, name));
  // A link to a folder counts as one.
  const checked = await Promise.all(
    named.map(async (dir) => ((await stat(dir).catch(() => undefined))?.isDirectory() ? dir : undefined)),
  );
  return checked.filter((dir) => dir !== undefined).sort();
}

const MAX_PACKAGE_JSON_BYTES = 1_048_576;

async function tryReadFolder(dir: string): Promise<PluginFolder | undefined> {
  const file = path.join(dir, 'package.json');
  const info = await stat(file).catch(() => undefined);
  if (!info?.isFile()) return undefined;
  if (info.size > MAX_PACKAGE_JSON_BYTES)
    throw new AtollError(
      'MANIFEST_INVALID',
      `${file}: it has ${info.size} bytes; at most ${MAX_PACKAGE_JSON_BYTES} are read.`,
    );
  const packageJson = parseJson(file, await readText(file));
  if (typeof packageJson !== 'object' || packageJson === null || !Object.hasOwn(packageJson, 'atoll')) return undefined;
  return { dir, manifest: parseManifest(packageJson, file), packageJson: packageJson as Record<string, unknown> };
}

async function readText(file: string): Promise<string> {
  try {
    // Editors on Windows put a byte order mark in front, which JSON.parse refuses.
    return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '');
  } catch (error) {
    throw new AtollError('MANIFEST_INVALID', `${file} can't be read: ${(error as Error).message}.`);
  }
}

function parseJson(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new AtollError('MANIFEST_INVALID', `${file}: not valid JSON: ${(error as Error).message}.`);
  }
}
