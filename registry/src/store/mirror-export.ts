import { randomBytes } from 'node:crypto';
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { Header } from 'tar';
import type { StoredVersion } from './catalogue.js';
import { MIRROR_FILE, type MirrorDocument, mirrorPath } from './mirror-document.js';
import type { PackageStore } from './package-store.js';

const BLOCK = 512;
/** Like npm's tarballs: the same content is the same file. */
const MTIME = new Date('1985-10-26T08:15:00.000Z');

export interface ExportOptions {
  /** The file to write; replaced as a whole. */
  out: string;
  /** Which versions; all that are not quarantined when absent. */
  versions?: readonly { id: string; version: string }[];
}

export interface ExportResult {
  file: string;
  bytes: number;
  packages: { id: string; version: string }[];
}

/**
 * Writes packages into one file, for a machine without network. Throws VERSION_NOT_FOUND for a version that is not there,
 * PACKAGE_QUARANTINED or PACKAGE_DAMAGED for one that must not or can't be passed on; nothing is left then.
 */
export async function exportMirror(store: PackageStore, { out, versions }: ExportOptions): Promise<ExportResult> {
  const chosen = versions
    ? versions.map((one) => existing(store, one))
    : store.catalogue.versions().filter(({ quarantined }) => !quarantined);
  const file = path.resolve(out);
  const draft = `${file}.${randomBytes(6).toString('hex')}`;
  await mkdir(path.dirname(file), { recursive: true });
  try {
    await writeBundle(store, draft, chosen);
    await rename(draft, file);
  } finally {
    await rm(draft, { force: true });
  }
  await using handle = await open(file, 'r');
  return { file, bytes: (await handle.stat()).size, packages: chosen.map(({ id, version }) => ({ id, version })) };
}

function existing(store: PackageStore, { id, version }: { id: string; version: string }): StoredVersion {
  const stored = store.catalogue.version(id, version);
  if (stored) return stored;
  throw new AtollError('VERSION_NOT_FOUND', `The store has no ${id}@${version}.`);
}

async function writeBundle(store: PackageStore, draft: string, versions: readonly StoredVersion[]): Promise<void> {
  await using handle = await open(draft, 'wx', 0o644);
  const sizes = new Map<string, number>();
  for (const { id, version, integrity } of versions) sizes.set(integrity, (await store.tarball(id, version)).length);
  await append(handle, MIRROR_FILE, Buffer.from(`${JSON.stringify(listOf(store, versions, sizes), null, 2)}\n`));
  for (const { id, version, integrity } of versions) {
    await append(handle, mirrorPath(integrity), await store.tarball(id, version));
  }
  await handle.writeFile(Buffer.alloc(2 * BLOCK));
  await handle.sync();
}

async function append(handle: FileHandle, name: string, content: Buffer): Promise<void> {
  const block = Buffer.alloc(BLOCK);
  new Header({ path: name, type: 'File', mode: 0o644, size: content.length, mtime: MTIME }).encode(block, 0);
  await handle.writeFile(Buffer.concat([block, content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]));
}

function listOf(
  store: PackageStore,
  versions: readonly StoredVersion[],
  sizes: ReadonlyMap<string, number>,
): MirrorDocument {
  const keys = store.keys().filter(({ keyId }) => versions.some((one) => one.keyId === keyId));
  return {
    format: 1,
    packages: versions.map(({ id, name, version, integrity, channel, yanked, deprecated }) => ({
      id,
      name,
      version,
      integrity,
      size: sizes.get(integrity)!,
      channel,
      ...(yanked && { yanked: yanked.reason }),
      ...(deprecated && { deprecated: deprecated.reason }),
    })),
    keys: keys.map(({ publicKey, publisher }) => ({ publicKey, publisher })),
  };
}
