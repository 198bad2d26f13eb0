import semver from 'semver';
import { type PluginPackage, readPackage } from '../package/read-package.js';
import { admit } from './admission.js';
import type { BlobStore } from './blob-store.js';
import { emptyIndex, type IndexDocument } from './index-document.js';

/**
 * An index from the packages alone. What operators had said is lost: keys count as unconfirmed until somebody trusts them
 * again, so that a key that was revoked does not come back to life.
 */
export async function rebuildIndex(
  blobs: BlobStore,
  at: string,
): Promise<{ index: IndexDocument; problems: string[] }> {
  const index = emptyIndex();
  const problems: string[] = [];
  for (const read of await readAll(blobs, problems)) {
    const origin = read.signer ? 'third-party' : 'local';
    try {
      admit(index, read, { origin, backport: true, policy: 'first-use', at });
    } catch (error) {
      problems.push(`${read.manifest.id}@${read.manifest.version}: ${(error as Error).message}`);
    }
  }
  for (const key of Object.values(index.keys)) key.trust = 'unconfirmed';
  return { index, problems };
}

async function readAll(blobs: BlobStore, problems: string[]): Promise<PluginPackage[]> {
  const all: PluginPackage[] = [];
  for (const integrity of await blobs.list()) {
    try {
      all.push(await readPackage(await blobs.read(integrity)));
    } catch (error) {
      problems.push((error as Error).message);
    }
  }
  return all.sort((a, b) => semver.compare(a.manifest.version, b.manifest.version));
}
