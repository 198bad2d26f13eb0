import type { PackageStore, PluginFolder } from '@atoll/registry';

/** This version, or the newest of the channel `latest`; undefined when the registry does not have it. */
export async function findVersion(
  store: PackageStore,
  id: string,
  version: string | undefined,
): Promise<PluginFolder | undefined> {
  await store.refresh();
  const { catalogue } = store;
  const wanted = version ?? catalogue.get(id)?.channels.latest;
  return wanted !== undefined && catalogue.version(id, wanted) ? store.unpack(id, wanted) : undefined;
}
