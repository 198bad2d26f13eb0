import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** What a suite imports when its database can be another one. */
const HELPERS = /\b(openTest\w+|createTestDatabase|TEST_SERVER|TEST_REDIS|HAS_SERVERS|testPlugin|TestKernel\.start)\b/;

const include = globSync(
  ['kernel/src/**/*.test.ts', 'plugin-sdk/host/**/*.test.ts', 'plugins/*/src/**/*.test.ts', 'test/**/*.test.ts'],
  {
    cwd: root,
    exclude: ['**/node_modules/**', '**/dist/**', 'test/bench/**'],
  },
).filter((file) => HELPERS.test(readFileSync(`${root}${file}`, 'utf8')));

export default defineConfig({
  test: {
    root,
    include,
    globalSetup: 'test/support/shared-bundles.ts',
    pool: 'forks',
    execArgv: ['--no-node-snapshot'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
  },
});
