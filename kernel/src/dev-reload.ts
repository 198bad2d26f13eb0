import type { Stats } from 'node:fs';
import path from 'node:path';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { keepBundler } from '@atoll/registry';
import { watch } from 'chokidar';
import type { DependencyContainer } from 'tsyringe';
import { resolve } from './di/container.js';
import * as T from './di/tokens.js';

/** Saving several files at once is one change. */
const QUIET_MS = 60;
/** What a plugin is not made of, relative to its folder. */
const IGNORED = /(^|[\\/])(node_modules|dist|\.[^\\/]+)([\\/]|$)/;

/**
 * Watches the sources of all plugins and swaps a plugin when one of its files changes, or has since this process started: what was
 * loaded before the watching began may be old already. Returns the undo.
 */
export async function startDevReload(container: DependencyContainer): Promise<() => Promise<void>> {
  const manager = resolve(container, T.PLUGIN_MANAGER);
  const folders = manager.folders();
  const ownerOf = (file: string) => [...folders].find(([, dir]) => file.startsWith(dir + path.sep))?.[0];
  const timers = new Map<string, NodeJS.Timeout>();
  const releaseBundler = keepBundler();
  let watching = false;
  const watcher = watch([...folders.values()], {
    alwaysStat: true,
    ignored: (file) => {
      const owner = ownerOf(file);
      return owner !== undefined && IGNORED.test(path.relative(folders.get(owner)!, file));
    },
  });
  watcher.on('all', (_, file, stats) => {
    const owner = ownerOf(file);
    if (!owner || (!watching && !isNew(stats))) return;
    clearTimeout(timers.get(owner));
    timers.set(
      owner,
      setTimeout(() => void reload(owner), QUIET_MS),
    );
  });
  const reload = async (id: string) => {
    const began = performance.now();
    try {
      const { state, reason } = await manager.reload(id);
      process.stdout.write(
        `↻ ${id} ${state}${reason ? `: ${reason}` : ''} (${Math.round(performance.now() - began)} ms)\n`,
      );
    } catch (error) {
      const text = error instanceof AtollError ? `${error.message} (${error.code})` : String(error);
      process.stdout.write(`✗ ${id} keeps running as it was: ${text}\n`);
    }
  };
  await new Promise<void>((resolveReady) => watcher.once('ready', () => resolveReady()));
  watching = true;
  return async () => {
    for (const timer of timers.values()) clearTimeout(timer);
    releaseBundler();
    await watcher.close();
  };
}

const isNew = (stats: Stats | undefined): boolean =>
  stats?.isFile() === true && stats.mtimeMs >= performance.timeOrigin;
