import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

/** An npm package of which something is in a bundle. */
export interface BundledPackage {
  name: string;
  version: string;
  /** As in its package.json: an SPDX expression or some text. */
  license?: string;
  homepage?: string;
  /** The texts of its licence files. */
  licenceTexts: string[];
}

/** The packages that these files belong to, without the one in `dir`; sorted by name and version. */
export async function bundledPackages(dir: string, files: readonly string[]): Promise<BundledPackage[]> {
  const homes = new Set<string>();
  for (const folder of new Set(files.map((file) => path.dirname(file)))) {
    const home = await homeOf(folder, dir);
    if (home !== undefined) homes.add(home);
  }
  const packages = await Promise.all([...homes].map(describe));
  return [...new Map(packages.map((one) => [`${one.name}@${one.version}`, one])).values()].sort(byName);
}

/** The nearest folder above whose package.json has a name and a version: others only set the type of their modules. */
async function homeOf(folder: string, dir: string): Promise<string | undefined> {
  for (let at = folder; at !== dir && at !== path.dirname(at); at = path.dirname(at)) {
    const packageJson = await readPackageJson(at);
    if (typeof packageJson?.name === 'string' && typeof packageJson.version === 'string') return at;
  }
  return undefined;
}

const byName = (a: BundledPackage, b: BundledPackage): number =>
  a.name === b.name ? compareText(a.version, b.version) : compareText(a.name, b.name);
const compareText = (a: string, b: string): number => (a < b ? -1 : Number(a > b));

async function describe(home: string): Promise<BundledPackage> {
  const { name, version, license, licenses, homepage } = (await readPackageJson(home))!;
  const licence = licenceName(license) ?? licenceName(Array.isArray(licenses) ? licenses[0] : licenses);
  return {
    name: name as string,
    version: version as string,
    ...(licence !== undefined && { license: licence }),
    ...(typeof homepage === 'string' && { homepage }),
    licenceTexts: await licenceTexts(home),
  };
}

/** Old packages write `{ "type": "MIT" }`. */
function licenceName(value: unknown): string | undefined {
  const text = typeof value === 'object' && value !== null ? (value as { type?: unknown }).type : value;
  return typeof text === 'string' && text.trim() !== '' ? text.trim() : undefined;
}

async function licenceTexts(home: string): Promise<string[]> {
  const names = (await readdir(home)).filter((name) => /^(licen[cs]e|copying|notice)([.-]|$)/i.test(name)).sort();
  const texts = await Promise.all(names.map((name) => readFile(path.join(home, name), 'utf8').catch(() => '')));
  return texts.map((text) => text.replaceAll('\r\n', '\n').trim()).filter((text) => text !== '');
}

async function readPackageJson(folder: string): Promise<Record<string, unknown> | undefined> {
  try {
    return JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8')) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
