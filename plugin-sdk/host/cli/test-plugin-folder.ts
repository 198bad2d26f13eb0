import { existsSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import type { TestError } from 'vitest';
import type { TestModule } from 'vitest/node';
import type { Run } from './command.js';
import { CliError, EXIT } from './errors.js';
import { INSTALLATION } from './installation.js';
import type { Output } from './output.js';

type Vitest = typeof import('vitest/node');

/** `atoll test`: a plugin's own tests, wherever its folder lies. */
export function testCommand(program: Command, run: Run): void {
  program
    .command('test [folder]')
    .description('run the tests of a plugin (*.test.ts, with vitest) in real isolates')
    .option('--watch', 'again at every save')
    .option('-t, --test-name-pattern <pattern>', 'only tests whose names match')
    .action((folder = '.', flags: TestFlags) =>
      run(async (out) => {
        await runTests(out, path.resolve(folder), flags);
      }),
    );
}

interface TestFlags {
  watch?: boolean;
  testNamePattern?: string;
}

interface TestResult {
  file: string;
  name: string;
  state: string;
  errors?: string[];
}

async function runTests(out: Output, folder: string, flags: TestFlags): Promise<void> {
  const { watch = false, testNamePattern } = flags;
  if (!existsSync(path.join(folder, 'package.json'))) {
    const hint = 'Name the folder of a plugin: the one with its package.json.';
    throw new CliError(`${folder} holds no plugin.`, EXIT.FAILURE, { hint });
  }
  const { startVitest } = await loadVitest();
  const vitest = await startVitest(
    'test',
    [],
    {
      root: folder,
      watch,
      include: ['**/*.test.{ts,mts,js,mjs}'],
      pool: 'forks',
      // isolated-vm needs it; every test starts a kernel.
      execArgv: ['--no-node-snapshot'],
      maxWorkers: 2,
      testTimeout: 60_000,
      hookTimeout: 60_000,
      passWithNoTests: true,
      server: { deps: { external: [OWN_MODULES] } },
      ...(testNamePattern !== undefined && { testNamePattern }),
      // Programs get the results below, and nothing else.
      ...(out.json && { reporters: [{}] }),
    },
    { plugins: [{ name: 'atoll-sdk', enforce: 'pre', resolveId: resolveOwn }] },
  );
  if (watch) return;
  const modules = vitest.state.getTestModules();
  const results = modules.flatMap((file) => resultsOf(file, folder));
  await vitest.close();
  if (modules.length === 0) {
    const hint = 'Write one, such as src/index.test.ts; `atoll create` shows how.';
    throw new CliError(`${folder} has no tests.`, EXIT.FAILURE, { hint });
  }
  const failed = results.some(({ state }) => state === 'failed') || vitest.state.getUnhandledErrors().length > 0;
  if (failed) process.exitCode = EXIT.FAILURE;
  out.result({ passed: !failed, tests: results }, '');
}

/** Also of a file that did not get as far as its tests. */
function resultsOf(file: TestModule, folder: string): TestResult[] {
  const at = path.relative(folder, file.moduleId);
  const told = (name: string, state: string, errors: readonly TestError[] = []): TestResult => ({
    file: at,
    name,
    state,
    ...(errors.length > 0 && { errors: errors.map((error) => placed(error, folder)) }),
  });
  const tests = [...file.children.allTests()].map((test) => {
    const { state, errors } = test.result();
    return told(test.fullName, state, errors);
  });
  const broken = file.errors();
  return broken.length > 0 ? [told('', 'failed', broken), ...tests] : tests;
}

function placed({ message, stacks = [] }: TestError, folder: string): string {
  const [at] = stacks;
  return at ? `${message} (${path.relative(folder, at.file)}:${at.line}:${at.column})` : message;
}

async function loadVitest(): Promise<Vitest> {
  try {
    return await import('vitest/node');
  } catch {
    throw new CliError('vitest, which runs the tests, is not installed.', EXIT.FAILURE, {
      hint: `Run \`npm ci\` in ${INSTALLATION}.`,
    });
  }
}

const OWN_MODULES = new RegExp(`^${INSTALLATION.replace(/[^\w/]/g, '\\$&')}.*/(dist|dist-host|node_modules)/`);
const OWN_PACKAGES = /^(@atoll\/plugin-sdk|typebox|vitest)(\/|$)/;

/** A plugin that lies elsewhere has no node_modules with the SDK and vitest in it: this installation's are meant. */
function resolveOwn(name: string): string | undefined {
  return OWN_PACKAGES.test(name) ? fileURLToPath(import.meta.resolve(name)) : undefined;
}
