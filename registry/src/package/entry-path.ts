import { AtollError } from '@atoll/plugin-sdk/contract';
import { show } from '../manifest-problems.js';
import type { PackageLimits } from './limits.js';

/** The folder that every npm tarball has its files in. */
export const ROOT = 'package/';

/** Names that mean devices on Windows, with any ending. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;
/** Control characters, what Windows and shells read otherwise, and marks that nobody sees or that turn text around. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}<>:"|?*\\]/u;

const refuse = (path: string, why: string): AtollError =>
  new AtollError('PACKAGE_INVALID', `The package has the entry ${show(path)}, which ${why}.`);

/** The path inside the package of a tar entry. Throws PACKAGE_INVALID for one that could lie elsewhere, on any platform. */
export function entryPath(raw: string, { pathLength }: Pick<PackageLimits, 'pathLength'>): string {
  if (!raw.startsWith(ROOT)) throw refuse(raw, `does not lie in ${ROOT}`);
  const path = raw.slice(ROOT.length);
  if (path.length > pathLength) throw refuse(raw, `has a path of more than ${pathLength} characters`);
  if (UNSAFE.test(path)) throw refuse(raw, 'has characters that file systems understand differently');
  if (path.normalize('NFC') !== path) throw refuse(raw, 'is not in Unicode normal form C');
  for (const part of path.split('/')) {
    if (part === '' || part === '.' || part === '..') throw refuse(raw, 'is no plain relative path');
    if (/[. ]$/.test(part) || DEVICE.test(part)) throw refuse(raw, 'is not a valid name everywhere');
  }
  return path;
}

/** Finds paths that some file system would take for one: equal but for case, or a file where another has its folder. */
export class PathCollisions {
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();

  /** Throws PACKAGE_INVALID when the path collides with one added before. */
  add(path: string): void {
    const folded = path.toLowerCase().normalize('NFKC').toLowerCase();
    const parts = folded.split('/');
    const above = parts.slice(1).map((_, at) => parts.slice(0, at + 1).join('/'));
    if (this.#files.has(folded)) throw refuse(path, 'is there twice (names that differ only in case count as equal)');
    if (this.#folders.has(folded) || above.some((folder) => this.#files.has(folder))) {
      throw refuse(path, 'is both a file and a folder');
    }
    this.#files.add(folded);
    for (const folder of above) this.#folders.add(folder);
  }
}
