import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Writes a plugin package into a folder of its own, outside the repository as third-party plugins are. */
export function writePlugin(
  id: string,
  source: string,
  atoll: Record<string, unknown> = {},
  root = mkdtempSync(path.join(tmpdir(), 'atoll-plugin-')),
): PluginOnDisk {
  const dir = path.join(root, id);
  mkdirSync(path.join(dir, 'src'), { recursive: true });
  const manifest = { name: id, version: '1.0.0', type: 'module', atoll: { id, mounts: [`/x/${id}`], ...atoll } };
  writeFileSync(path.join(dir, 'package.json'), JSON.stringify(manifest, null, 2));
  const write = (text: string) => writeFileSync(path.join(dir, 'src/index.ts'), text);
  write(source);
  return { dir, root, write, remove: () => rmSync(root, { recursive: true, force: true }) };
}

export interface PluginOnDisk {
  dir: string;
  root: string;
  /** Replaces its source. */
  write(source: string): void;
  remove(): void;
}

/** A plugin whose setup is this code; `http`, `events` and so on are in scope. */
export function pluginSource(setup: string): string {
  return `import { definePlugin, Type } from '@atoll/plugin-sdk';
export default definePlugin(({ http, ws, events, services, secrets, storage, cache, jobs, schedule, log, metrics, lifecycle, config }) => {
${setup}
});
`;
}
