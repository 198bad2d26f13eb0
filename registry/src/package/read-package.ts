import { isDeepStrictEqual } from 'node:util';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { type PluginManifest, parseManifest } from '../manifest.js';
import { ENVELOPE_FILE, openStatement, type Signer, type Statement } from './envelope.js';
import { hasIntegrity, integrityOf } from './integrity.js';
import { BUNDLE_FILE, FORMAT, FORMAT_KEY, MAP_FILE } from './layout.js';
import { PACKAGE_LIMITS, type PackageLimits } from './limits.js';
import { type PackageFiles, readTarball } from './tarball.js';
import { assertVersion } from './version.js';

/** A package whose files are what its statement says. Whether its signer is to be trusted is for others to decide. */
export interface PluginPackage {
  manifest: PluginManifest;
  packageJson: Readonly<Record<string, unknown>>;
  /** SHA-512 of the tarball, SRI form. */
  integrity: string;
  /** Of the tarball, in bytes. */
  size: number;
  /** Of all files together, in bytes. */
  unpackedSize: number;
  files: PackageFiles;
  code: string;
  map: string;
  readme?: string;
  icon?: { file: string; bytes: Buffer };
  /** Absent when the package is not signed. */
  signer?: Signer;
}

/** What a package is said to be by whoever handed it over. */
export interface Expected {
  id?: string;
  name?: string;
  version?: string;
  /** SRI; several algorithms may be listed, SHA-512 counts. */
  integrity?: string;
  /** The whole manifest, as it was shown to who decided on it. */
  manifest?: PluginManifest;
}

export interface ReadOptions {
  expected?: Expected;
  limits?: PackageLimits;
}

/**
 * Reads and checks a tarball, in memory and without running anything. Throws PACKAGE_TOO_LARGE, PACKAGE_DAMAGED,
 * PACKAGE_INVALID, PACKAGE_ALTERED, SIGNATURE_INVALID, MANIFEST_INVALID or PACKAGE_MISMATCH.
 */
export async function readPackage(
  tarball: Uint8Array,
  { expected = {}, limits = PACKAGE_LIMITS }: ReadOptions = {},
): Promise<PluginPackage> {
  if (expected.integrity !== undefined && !hasIntegrity(tarball, expected.integrity)) {
    throw new AtollError('PACKAGE_ALTERED', `The package does not have the hash ${expected.integrity} it should have.`);
  }
  const files = await readTarball(tarball, limits);
  const { statement, signer } = openStatement(fileOf(files, ENVELOPE_FILE));
  assertContents(files, statement);
  const packageJson = readPackageJson(files);
  const manifest = parseManifest(packageJson, 'package.json');
  assertVersion(manifest.version);
  assertBundleSize(fileOf(files, BUNDLE_FILE), limits);
  assertIdentity(manifest, statement, 'Its statement');
  assertIdentity(manifest, expected, 'What was asked for');
  if (expected.manifest && !isDeepStrictEqual(manifest, expected.manifest)) {
    throw new AtollError(
      'PACKAGE_MISMATCH',
      `The manifest in ${manifest.name}@${manifest.version} is not the one that was shown for it.`,
    );
  }
  return {
    manifest,
    packageJson,
    integrity: integrityOf(tarball),
    size: tarball.length,
    unpackedSize: [...files.values()].reduce((sum, { length }) => sum + length, 0),
    files,
    code: textOf(files, BUNDLE_FILE),
    map: textOf(files, MAP_FILE),
    ...documentsOf(files),
    ...(signer && { signer }),
  };
}

function fileOf(files: PackageFiles, path: string): Buffer {
  const file = files.get(path);
  if (file) return file;
  throw new AtollError('PACKAGE_INVALID', `The package lacks ${path}, so \`atoll pack\` did not write it.`);
}

const textOf = (files: PackageFiles, path: string): string => fileOf(files, path).toString('utf8');

/** Every file is stated and every stated file is there, with the content that was stated. */
function assertContents(files: PackageFiles, statement: Statement): void {
  for (const [path, content] of files) {
    if (path === ENVELOPE_FILE) continue;
    if (!Object.hasOwn(statement.files, path)) {
      throw new AtollError('PACKAGE_ALTERED', `The package has ${path}, which its publisher did not put in.`);
    }
    if (integrityOf(content) !== statement.files[path]) {
      throw new AtollError('PACKAGE_ALTERED', `${path} is not what its publisher put in.`);
    }
  }
  const absent = Object.keys(statement.files).find((path) => !files.has(path));
  if (absent !== undefined)
    throw new AtollError('PACKAGE_ALTERED', `The package lacks ${absent}, which its publisher put in.`);
}

function readPackageJson(files: PackageFiles): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(textOf(files, 'package.json'));
  } catch (error) {
    if (error instanceof AtollError) throw error;
    throw new AtollError('PACKAGE_INVALID', `package.json is not valid JSON: ${(error as Error).message}.`);
  }
  if (typeof value !== 'object' || value === null)
    throw new AtollError('PACKAGE_INVALID', 'package.json is no object.');
  const packageJson = value as Record<string, unknown>;
  if (packageJson[FORMAT_KEY] !== FORMAT) {
    const told = JSON.stringify(packageJson[FORMAT_KEY]) ?? 'nothing';
    throw new AtollError('PACKAGE_INVALID', `The package has the format ${told}; this Atoll reads format ${FORMAT}.`);
  }
  // Nothing here would run them, but npm would, for whoever installs the tarball with it.
  const foreign = ['scripts', 'bin', 'dependencies', 'gypfile'].find((key) => Object.hasOwn(packageJson, key));
  if (foreign !== undefined)
    throw new AtollError('PACKAGE_INVALID', `package.json has "${foreign}", which has no place in a package.`);
  return packageJson;
}

function assertIdentity(manifest: PluginManifest, said: Expected, who: string): void {
  for (const key of ['id', 'name', 'version'] as const) {
    if (said[key] === undefined || said[key] === manifest[key]) continue;
    throw new AtollError(
      'PACKAGE_MISMATCH',
      `The package is ${manifest.name}@${manifest.version} (id "${manifest.id}"). ${who} says ${key} ${JSON.stringify(said[key])}.`,
    );
  }
}

function assertBundleSize({ length }: Buffer, { bundleBytes }: PackageLimits): void {
  if (length > bundleBytes) {
    throw new AtollError('PACKAGE_TOO_LARGE', `The code has ${length} bytes; at most ${bundleBytes} are allowed.`);
  }
}

function documentsOf(files: PackageFiles): Pick<PluginPackage, 'readme' | 'icon'> {
  const find = (pattern: RegExp) => [...files.keys()].find((path) => pattern.test(path));
  const [readme, icon] = [find(/^readme\.md$/i), find(/^icon\.(svg|png|webp)$/i)];
  return {
    ...(readme !== undefined && { readme: textOf(files, readme) }),
    ...(icon !== undefined && { icon: { file: icon, bytes: files.get(icon)! } }),
  };
}
