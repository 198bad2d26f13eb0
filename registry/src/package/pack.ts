import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { bundlePlugin, type PluginBundle } from '../bundle.js';
import type { PluginFolder } from '../folder.js';
import { bundledPackages } from './bundled-packages.js';
import { ENVELOPE_FILE, sealStatement } from './envelope.js';
import { integrityOf } from './integrity.js';
import { BUNDLE_FILE, FORMAT, FORMAT_KEY, LICENCES_FILE, MAP_FILE, SBOM_FILE } from './layout.js';
import { licenceList } from './licences.js';
import { PACKAGE_LIMITS, type PackageLimits } from './limits.js';
import type { SigningKey } from './publisher-key.js';
import { type SbomEntry, sbomOf } from './sbom.js';
import { writeTarball } from './tarball.js';
import { assertVersion } from './version.js';

export interface PackedPlugin {
  id: string;
  name: string;
  version: string;
  /** The tarball. */
  bytes: Buffer;
  /** Its SHA-512, in SRI form. */
  integrity: string;
  /** Path → size in bytes. */
  files: Record<string, number>;
  /** Absent when it is not signed. */
  keyId?: string;
}

export interface PackOptions {
  key?: SigningKey;
  limits?: PackageLimits;
}

/**
 * Packs a plugin: bundle, manifest, documents, licence list and SBOM, sealed by hashes and a signature. The same sources
 * and key give the same bytes. Nothing of the plugin is run. Throws BUNDLE_FAILED, PACKAGE_INVALID, PACKAGE_TOO_LARGE.
 */
export async function packPlugin(
  folder: PluginFolder,
  { key, limits = PACKAGE_LIMITS }: PackOptions = {},
): Promise<PackedPlugin> {
  const { id, name, version } = folder.manifest;
  assertVersion(version);
  const files = await contentsOf(folder);
  const hashes = Object.fromEntries([...files].map(([file, content]) => [file, integrityOf(content)]));
  files.set(ENVELOPE_FILE, sealStatement({ name, version, id, files: hashes }, key));
  const bytes = writeTarball(files, limits);
  return {
    id,
    name,
    version,
    bytes,
    integrity: integrityOf(bytes),
    files: Object.fromEntries([...files].map(([file, content]): [string, number] => [file, content.length]).sort()),
    ...(key && { keyId: key.keyId }),
  };
}

async function contentsOf(folder: PluginFolder): Promise<Map<string, Buffer>> {
  const dir = await realpath(folder.dir);
  const bundle = await bundlePlugin(folder);
  const packages = await bundledPackages(dir, bundle.contents);
  const texts: [string, string][] = [
    ['package.json', packageJsonOf(folder)],
    ...bundleFiles(bundle),
    [LICENCES_FILE, licenceList(packages)],
    [SBOM_FILE, await sbomOf(subjectOf(folder), packages)],
  ];
  return new Map([
    ...texts.map(([file, text]): [string, Buffer] => [file, Buffer.from(text)]),
    ...(await documents(dir)),
  ]);
}

const bundleFiles = ({ code, map }: PluginBundle): [string, string][] => [
  [BUNDLE_FILE, code],
  [MAP_FILE, map],
];

function subjectOf({ manifest, packageJson: { license, description } }: PluginFolder): SbomEntry {
  return {
    name: manifest.name,
    version: manifest.version,
    ...(typeof license === 'string' && { license }),
    ...(typeof description === 'string' && { description }),
  };
}

/** What of a package.json is of use to those who get the package; scripts and dependencies are not. */
const KEPT = ['description', 'license', 'author', 'contributors', 'homepage', 'repository', 'bugs', 'funding'];
const KEYWORD = 'atoll-plugin';

/** Who looks for a service in an npm registry finds it by the keyword. */
function packageJsonOf({ packageJson, manifest: { name, version, provides } }: PluginFolder): string {
  const kept = KEPT.filter((key) => Object.hasOwn(packageJson, key)).map((key) => [key, packageJson[key]]);
  const { keywords } = packageJson;
  const words = Array.isArray(keywords) ? keywords.filter((word) => typeof word === 'string') : [];
  const slim = {
    name,
    version,
    ...Object.fromEntries(kept),
    type: 'module',
    keywords: [...new Set([...words, KEYWORD, ...Object.keys(provides)])],
    [FORMAT_KEY]: FORMAT,
    atoll: { ...(packageJson.atoll as object), entry: BUNDLE_FILE },
  };
  return `${JSON.stringify(slim, null, 2)}\n`;
}

/** Files for people, at the top of the folder. */
const DOCUMENT = /^(readme\.md|changelog\.md|licen[cs]e(\.md|\.txt)?|notice(\.md|\.txt)?|icon\.(svg|png|webp))$/i;
const MAX_DOCUMENT_BYTES = 1_048_576;

async function documents(dir: string): Promise<[string, Buffer][]> {
  const names = (await readdir(dir)).filter((name) => DOCUMENT.test(name)).sort();
  return Promise.all(names.map(async (name): Promise<[string, Buffer]> => [name, await readDocument(dir, name)]));
}

/** A link that leads out of the folder would put a file of this machine into the package. */
async function readDocument(dir: string, name: string): Promise<Buffer> {
  const file = await realpath(path.join(dir, name));
  const info = await stat(file);
  if (!info.isFile() || !file.startsWith(dir + path.sep)) {
    throw new AtollError('PACKAGE_INVALID', `${name} is no file of the plugin's folder.`);
  }
  if (info.size > MAX_DOCUMENT_BYTES) {
    throw new AtollError(
      'PACKAGE_TOO_LARGE',
      `${name} has ${info.size} bytes; at most ${MAX_DOCUMENT_BYTES} are packed.`,
    );
  }
  return readFile(file);
}
