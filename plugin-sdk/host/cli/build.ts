import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { bundlePlugin, readPluginFolder } from '@atoll/registry';

/** Checks the manifest and bundles the plugin as the server would; writes the bundle when a folder is named. */
export async function buildPlugin(folder: string, out: string | undefined) {
  const plugin = await readPluginFolder(folder);
  const bundle = await bundlePlugin(plugin);
  const { id, version } = plugin.manifest;
  if (out !== undefined) {
    mkdirSync(out, { recursive: true });
    writeFileSync(path.join(out, `${id}.js`), bundle.code);
    writeFileSync(path.join(out, `${id}.js.map`), bundle.map);
  }
  return {
    id,
    version,
    bytes: bundle.bytes,
    sha256: bundle.hash,
    ...(out !== undefined && { out: path.resolve(out, `${id}.js`) }),
  };
}
