import { stop } from 'esbuild';

/** How long the bundler's process is kept after the last bundle, in ms: plugins come in bunches, and starting it takes a moment. */
const KEEP_MS = 3_000;

interface BundlerProcess {
  /** Builds under way. */
  running: number;
  /** Which of the processes that were started one after the other. */
  generation: number;
  idle?: NodeJS.Timeout;
}

/** esbuild has one process for everyone who loads it, so its users are counted together, even by two copies of this module. */
const SHARED = Symbol.for('atoll.bundler-process');
const shared = globalThis as { [SHARED]?: BundlerProcess };
shared[SHARED] ??= { running: 0, generation: 0 };
const bundler = shared[SHARED];

/**
 * Runs a build; it may be run a second time. esbuild's process takes some 100 MB: it ends when nothing was built for a while, and comes back
 * by itself, also when it was killed.
 */
export async function withBundler<T>(build: () => Promise<T>): Promise<T> {
  clearTimeout(bundler.idle);
  bundler.running++;
  try {
    return await throughItsEnd(build);
  } finally {
    bundler.running--;
    if (bundler.running === 0) {
      clearTimeout(bundler.idle);
      bundler.idle = setTimeout(() => end(), KEEP_MS);
      bundler.idle.unref();
    }
  }
}

async function throughItsEnd<T>(build: () => Promise<T>): Promise<T> {
  const { generation } = bundler;
  try {
    return await build();
  } catch (error) {
    if (!isOfItsEnd(error)) throw error;
    // Others may have noticed before, and build with the next one already.
    if (generation === bundler.generation) end();
    return build();
  }
}

/** What esbuild is still asked for is never answered then; and without this it goes on asking a process that has died. */
function end(): void {
  bundler.generation++;
  void stop();
}

const isOfItsEnd = (error: unknown): boolean =>
  error instanceof Error && /The service (was stopped|is no longer running)/.test(error.message);
