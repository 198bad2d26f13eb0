import type { Admitted } from '../store/admission.js';
import type { PackageStore } from '../store/package-store.js';
import type { OfferedVersion, PackageSource } from './package-source.js';

/**
 * Takes a version of a source into the store. The package has to be what the source said of it, down to the manifest: that
 * is what a plan was made, and consent was given, by. Throws what fetching and publishing throw.
 */
export async function fetchIntoStore(
  store: PackageStore,
  source: PackageSource,
  offered: OfferedVersion,
): Promise<Admitted> {
  const { name, version, integrity, manifest } = offered;
  const tarball = await source.fetch(offered);
  const expected = { id: manifest.id, name, version, integrity, manifest };
  return store.publish(tarball, { expected, origin: 'third-party', source: source.name, backport: true });
}
