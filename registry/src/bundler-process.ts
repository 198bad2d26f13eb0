import { stop } from 'esbuild';

/** How long the bundler's process is kept after the last bundle, in ms: plugins come in bunches, and starting it takes a moment. */
const KEEP_MS = 3_000;

/** How long a build may take, in ms: many times what the largest one needs. */
const LIMIT_MS = 60_000;
/** How often a build is begun anew because the process has ended. */
const MAX_ATTEMPTS = 5;

interface BundlerProcess {
  /** Builds under way, and who else keeps it. */
  users: number;
  /** Who is to be told that the process is ended; another set for each that is started. */
  generation: Set<() => void>;
  idle?: NodeJS.Timeout;
}

/** esbuild has one process for everyone who loads it, so its users are counted together, even by two copies of this module. */
const SHARED = Symbol.for('atoll.bundler-process');
const shared = globalThis as { [SHARED]?: BundlerProcess };
shared[SHARED] ??= { users: 0, generation: new Set() };
const bundler = shared[SHARED];

/** What a build rejects with that has taken too long. */
export class BuildTooLong extends Error {
  override readonly name = 'BuildTooLong';
}

class Ended extends Error {}

/**
 * Runs a build; it may be run several times. esbuild's process takes some 100 MB: it ends when nothing was built for a while, and comes back
 * by itself, also when it was killed. A build that takes too long rejects with BuildTooLong, and the process, which may be stuck in it, ends.
 */
export async function withBundler<T>(build: () => Promise<T>, limitMs = LIMIT_MS): Promise<T> {
  const release = keepBundler();
  const limit = Promise.withResolvers<never>();
  const timer = setTimeout(() => limit.reject(new BuildTooLong()), limitMs);
  try {
    return await throughItsEnd(build, limit.promise);
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** Keeps the process, once there is one, until the returned function is called: for who builds again and again. */
export function keepBundler(): () => void {
  clearTimeout(bundler.idle);
  bundler.users++;
  return () => {
    bundler.users--;
    if (bundler.users > 0) return;
    clearTimeout(bundler.idle);
    bundler.idle = setTimeout(() => end(), KEEP_MS);
    bundler.idle.unref();
  };
}

async function throughItsEnd<T>(build: () => Promise<T>, limit: Promise<never>, attempt = 1): Promise<T> {
  const { generation } = bundler;
  const ended = Promise.withResolvers<never>();
  const onEnd = () => ended.reject(new Ended());
  generation.add(onEnd);
  try {
    return await Promise.race([build(), ended.promise, limit]);
  } catch (error) {
    const again = isOfItsEnd(error) && attempt < MAX_ATTEMPTS;
    // Others may have noticed before, and build with the next one already.
    if ((again || error instanceof BuildTooLong) && generation === bundler.generation) end();
    if (!again) throw error;
    return throughItsEnd(build, limit, attempt + 1);
  } finally {
    generation.delete(onEnd);
  }
}

/** esbuild never answers what it was asked for before, so those who wait are told; and without this it goes on asking a process that has died. */
function end(): void {
  const { generation } = bundler;
  bundler.generation = new Set();
  void stop();
  for (const tell of generation) tell();
}

const isOfItsEnd = (error: unknown): boolean =>
  error instanceof Ended ||
  (error instanceof Error && /The service (was stopped|is no longer running)/.test(error.message));
