import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      '*/src/**/*.test.ts',
      'plugins/*/src/**/*.test.ts',
      'plugin-sdk/host/**/*.test.ts',
      'test/**/*.test.ts',
      'config/*.test.ts',
    ],
    exclude: ['**/node_modules/**', '**/dist/**', 'test/chaos/**'],
    globalSetup: 'test/support/shared-bundles.ts',
    pool: 'forks',
    // The first: isolated-vm needs it. The second: the embedded database's functions stay as they are compiled at first. Optimising its
    // parser takes three seconds and 600 MB, and most databases of tests live no longer than that.
    execArgv: ['--no-node-snapshot', '--wasm-tiering-budget=2147483647'],
    // Two cores are no reason for more.
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Patient with a busy machine: what is waited for comes at once elsewhere.
    expect: { poll: { timeout: 15_000 } },
    typecheck: { enabled: false },
  },
});
