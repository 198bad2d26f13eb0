import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { version as esbuildVersion } from 'esbuild';
import type { PluginBundle } from './bundle.js';

/** Entries of another way of bundling are not used: raise the number when it changes. */
const FORMAT = `6:${esbuildVersion}`;
/** File systems stamp changes with a clock that lags a little behind. */
const CLOCK_LAG_MS = 50;

type Stamp = [file: string, mtimeMs: number, size: number];

interface CacheEntry {
  format: string;
  stamps: Stamp[];
  bundle: PluginBundle;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Keeps the last bundle of each plugin folder, for as long as its inputs have the same sizes and times. */
export class BundleCache {
  readonly #file: string;

  constructor(cacheDir: string, pluginDir: string) {
    this.#file = path.join(cacheDir, `${sha256(pluginDir).slice(0, 24)}.json`);
  }

  async read(): Promise<PluginBundle | undefined> {
    try {
      const { format, stamps, bundle } = JSON.parse(await readFile(this.#file, 'utf8')) as CacheEntry;
      if (format !== FORMAT || sha256(bundle.code) !== bundle.hash) return undefined;
      const now = await Promise.all(stamps.map(([file]) => stampOf(file)));
      return now.every(([, mtimeMs, size], at) => mtimeMs === stamps[at]![1] && size === stamps[at]![2])
        ? bundle
        : undefined;
    } catch {
      // Whatever is wrong with the entry or with an input: bundling anew tells.
      return undefined;
    }
  }

  /** `began` is when the inputs began to be read; an input that changed since then may not be what was bundled. */
  async write(bundle: PluginBundle, began: number): Promise<void> {
    try {
      const stamps = await Promise.all(bundle.inputs.map(stampOf));
      if (stamps.some(([, mtimeMs]) => mtimeMs > began - CLOCK_LAG_MS)) return;
      await mkdir(path.dirname(this.#file), { recursive: true });
      const draft = `${this.#file}.${randomBytes(6).toString('hex')}`;
      await writeFile(draft, JSON.stringify({ format: FORMAT, stamps, bundle } satisfies CacheEntry));
      await rename(draft, this.#file);
    } catch {
      // A cache that can't be written (a full or read-only disk) costs time, not function.
    }
  }
}

async function stampOf(file: string): Promise<Stamp> {
  const { mtimeMs, size } = await stat(file);
  return [file, mtimeMs, size];
}
