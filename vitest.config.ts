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
    // isolated-vm needs it, and two cores are no reason for more workers.
    execArgv: ['--no-node-snapshot'],
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Patient with a busy machine: what is waited for comes at once elsewhere.
    expect: { poll: { timeout: 15_000 } },
    typecheck: { enabled: false },
  },
});
