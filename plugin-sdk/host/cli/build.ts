import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import type { Run } from './command.js';
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

export function buildCommand(program: Command, run: Run): void {
  program
    .command('build <folder>')
    .description('check a plugin and bundle it as the server would')
    .option('--out <dir>', 'write the bundle and its source map here')
    .action((folder: string, { out: dir }: { out?: string }) =>
      run(async (out) => {
        const built = await buildPlugin(folder, dir);
        const size = `${built.id}@${built.version}: ${built.bytes} bytes, sha256 ${built.sha256}`;
        out.result(built, built.out ? `${size}\n${built.out}` : size);
      }),
    );
}
