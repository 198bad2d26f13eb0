import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** Before all tests: a folder for the bundles that their kernels share (see kernel.ts). */
export function setup(): void {
  process.env.ATOLL_TEST_BUNDLES = mkdtempSync(path.join(tmpdir(), 'atoll-bundles-'));
}

export function teardown(): void {
  rmSync(process.env.ATOLL_TEST_BUNDLES!, { recursive: true, force: true });
}
