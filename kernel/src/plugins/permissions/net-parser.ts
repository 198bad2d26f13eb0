import type { PluginManifest } from '@atoll/registry';
import { type Grant, parseGrants } from '../../net/index.js';
import { compileGuestSchema } from '../../schema/index.js';

/** Reads entries of `permissions.net` as origins, with the plugin's configuration and the operator's `net.narrow`. */
export function netParser(
  manifest: PluginManifest,
  config: Record<string, unknown>,
  narrow: readonly string[] | undefined,
): (entries: readonly string[]) => Grant[] {
  // A value that the manifest itself gives must not open the operator's private network.
  const defaults = manifest.config ? compileGuestSchema(manifest.config, { defaults: true }).parse({}) : {};
  return (entries) =>
    parseGrants({
      plugin: manifest.id,
      entries,
      config,
      defaults: defaults as Record<string, unknown>,
      ...(narrow && { narrow }),
    });
}
