import { stop } from 'esbuild';

/** How long the bundler's process is kept after the last bundle, in ms: plugins come in bunches, and starting it takes a moment. */
const KEEP_MS = 3_000;

let running = 0;
let idle: NodeJS.Timeout | undefined;

/** Runs a build. esbuild's process takes some 100 MB: it ends when nothing was built for a while, and comes back by itself. */
export async function withBundler<T>(build: () => Promise<T>): Promise<T> {
  clearTimeout(idle);
  running++;
  try {
    return await build();
  } finally {
    running--;
    if (running === 0) {
      clearTimeout(idle);
      idle = setTimeout(() => void stop(), KEEP_MS);
      idle.unref();
    }
  }
}
