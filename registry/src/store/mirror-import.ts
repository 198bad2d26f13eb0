import { type FileHandle, open } from 'node:fs/promises';
import { AtollError, type ErrorCode } from '@atoll/plugin-sdk/contract';
import { Header } from 'tar';
import { hasIntegrity } from '../package/integrity.js';
import { PACKAGE_LIMITS } from '../package/limits.js';
import { keyIdOf, readPublicKey } from '../package/publisher-key.js';
import { isMirrorDocument, MIRROR_FILE, type MirrorDocument, mirrorPath } from './mirror-document.js';
import type { PackageStore } from './package-store.js';
import { isPublisherName } from './trust.js';

const BLOCK = 512;
const MAX_LIST_BYTES = 64 * 1024 * 1024;

export interface ImportOptions {
  file: string;
  /** Trusts the keys in the bundle: for one that comes from somebody who is trusted. Revoked ones stay revoked. */
  trustKeys?: boolean;
  /** How the packages' origin is called in the store. */
  source?: string;
}

export interface ImportResult {
  added: { id: string; version: string }[];
  present: { id: string; version: string }[];
  refused: { id: string; version: string; code: ErrorCode; reason: string }[];
}

type Listed = MirrorDocument['packages'][number];

/**
 * Takes the packages of a mirror bundle into the store. The whole bundle is checked first: one that is cut off or altered
 * adds nothing. Packages that the store refuses, for their publisher say, do not keep others out. Throws PACKAGE_DAMAGED,
 * PACKAGE_ALTERED or PACKAGE_INVALID for the bundle.
 */
export async function importMirror(
  store: PackageStore,
  { file, trustKeys = false, source = 'mirror' }: ImportOptions,
): Promise<ImportResult> {
  await using handle = await open(file, 'r').catch((error: Error) => {
    throw new AtollError('PACKAGE_DAMAGED', `${file} can't be read: ${error.message}.`);
  });
  const bundle = await Bundle.open(handle);
  for (const listed of bundle.list.packages) await bundle.read(listed);
  if (trustKeys) await trust(store, bundle.list.keys);
  const result: ImportResult = { added: [], present: [], refused: [] };
  for (const listed of bundle.list.packages) await take(store, await bundle.read(listed), listed, source, result);
  return result;
}

async function trust(store: PackageStore, keys: MirrorDocument['keys']): Promise<void> {
  const known = new Map(store.keys().map((key) => [key.keyId, key]));
  for (const { publicKey, publisher } of keys) {
    const key = readPublicKey(publicKey, 'A key in the bundle');
    // A name that the bundle gives must not make a new key one of a publisher that is known here by another.
    const taken = [...known.values()].some((other) => other.publisher === publisher && other.publicKey !== key);
    const named = !taken && isPublisherName(publisher);
    if (known.get(keyIdOf(key))?.trust !== 'revoked')
      await store.trustKey({ publicKey: key, ...(named && { publisher }) });
  }
}

async function take(
  store: PackageStore,
  tarball: Buffer,
  listed: Listed,
  source: string,
  result: ImportResult,
): Promise<void> {
  const { id, name, version, integrity, channel, yanked, deprecated } = listed;
  try {
    const expected = { id, name, version, integrity };
    const { outcome } = await store.publish(tarball, {
      expected,
      channel,
      source,
      origin: 'third-party',
      backport: true,
    });
    result[outcome].push({ id, version });
    if (yanked !== undefined && !store.catalogue.version(id, version)?.yanked) await store.yank(id, version, yanked);
    if (deprecated !== undefined) await store.deprecate(id, version, deprecated);
  } catch (error) {
    if (!(error instanceof AtollError) || error.code.startsWith('STORE_')) throw error;
    result.refused.push({ id, version, code: error.code, reason: error.message });
  }
}

/** A bundle on disk, of which one package at a time is in memory. */
class Bundle {
  private constructor(
    private readonly handle: FileHandle,
    readonly list: MirrorDocument,
    /** Path → where its content is. */
    private readonly entries: ReadonlyMap<string, Extent>,
  ) {}

  static async open(handle: FileHandle): Promise<Bundle> {
    const entries = await readEntries(handle);
    const extent = entries.get(MIRROR_FILE);
    if (!extent || extent.size > MAX_LIST_BYTES) throw invalid(`it has no ${MIRROR_FILE} that can be read`);
    const list = parse(await readExtent(handle, extent));
    if (!isMirrorDocument(list)) throw invalid(`${MIRROR_FILE} is not what \`atoll registry export\` writes`);
    return new Bundle(handle, list, entries);
  }

  /** Throws when the package is not there, too large, or another than the list says. */
  async read({ id, version, integrity, size }: Listed): Promise<Buffer> {
    const extent = this.entries.get(mirrorPath(integrity));
    if (!extent || extent.size !== size) throw damaged(`${id}@${version} is missing or cut off`);
    if (size > PACKAGE_LIMITS.tarballBytes) {
      throw new AtollError(
        'PACKAGE_TOO_LARGE',
        `${id}@${version} has ${size} bytes; at most ${PACKAGE_LIMITS.tarballBytes} are allowed.`,
      );
    }
    const bytes = await readExtent(this.handle, extent);
    if (hasIntegrity(bytes, integrity)) return bytes;
    throw new AtollError('PACKAGE_ALTERED', `The bundle has other bytes for ${id}@${version} than its list says.`);
  }
}

interface Extent {
  at: number;
  size: number;
}

async function readEntries(handle: FileHandle): Promise<Map<string, Extent>> {
  const { size: total } = await handle.stat();
  const entries = new Map<string, Extent>();
  for (let at = 0; at < total; ) {
    const header = new Header(await readExtent(handle, { at, size: BLOCK }));
    if (header.nullBlock) return entries;
    const { path, size, type } = header;
    if (!header.cksumValid || path === undefined || size === undefined || size < 0)
      throw damaged('an entry is not readable');
    if (type !== 'File' || entries.has(path))
      throw invalid(`it has the entry ${JSON.stringify(path)} of type ${type}, or that twice`);
    if (at + BLOCK + size > total) throw damaged('it ends too early');
    entries.set(path, { at: at + BLOCK, size });
    at += BLOCK + Math.ceil(size / BLOCK) * BLOCK;
  }
  throw damaged('it ends too early');
}

async function readExtent(handle: FileHandle, { at, size }: Extent): Promise<Buffer> {
  const buffer = Buffer.alloc(size);
  const { bytesRead } = await handle.read(buffer, 0, size, at);
  if (bytesRead !== size) throw damaged('it ends too early');
  return buffer;
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw damaged(`${MIRROR_FILE} is not valid JSON`);
  }
}

const damaged = (why: string): AtollError => new AtollError('PACKAGE_DAMAGED', `The bundle is damaged: ${why}.`);
const invalid = (why: string): AtollError => new AtollError('PACKAGE_INVALID', `The file is no mirror bundle: ${why}.`);
