import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Prelude } from '../engine/isolated-vm.js';
import { KERNEL_ROOT } from './paths.js';

export const PRELUDE_DIR = path.join(KERNEL_ROOT, 'dist/prelude');

/** Reads what the build step wrote. Without a snapshot isolates start from source: slower, otherwise the same. */
export function loadPrelude(): Prelude {
  const snapshot = path.join(PRELUDE_DIR, 'prelude.snapshot');
  return {
    source: readFileSync(path.join(PRELUDE_DIR, 'prelude.js'), 'utf8'),
    ...(existsSync(snapshot) && { snapshot: readFileSync(snapshot) }),
  };
}
