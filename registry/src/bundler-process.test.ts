import { build, type PluginBuild } from 'esbuild';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { commandLine, descendants } from '../../test/support/processes.js';
import { BuildTooLong, keepBundler, withBundler } from './bundler-process.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

const bundle = () => withBundler(() => build({ stdin: { contents: 'export const a = 1' }, write: false }));
/** A build that takes until it is released. */
function longBuild(run: typeof withBundler): { release: () => void; long: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { release: resolve, long: run(() => promise) };
}
const processes = () => descendants(process.pid).filter((pid) => commandLine(pid).includes('--service=')).length;

it('ends the bundler’s process when nothing was built for a while, and starts it again', async () => {
  await bundle();
  expect(processes()).toBe(1);
  const { release, long } = longBuild(withBundler);
  await bundle();
  vi.advanceTimersByTime(30_000);
  expect(processes()).toBe(1);
  release();
  await long;
  vi.advanceTimersByTime(30_000);
  await expect.poll(processes).toBe(0);
  expect((await bundle()).outputFiles).toHaveLength(1);
});

it('stays while somebody keeps it', async () => {
  const release = keepBundler();
  await bundle();
  vi.advanceTimersByTime(30_000);
  expect(processes()).toBe(1);
  release();
  vi.advanceTimersByTime(30_000);
  await expect.poll(processes).toBe(0);
});

it('is not ended while it builds for another copy of this module', async () => {
  await bundle();
  vi.resetModules();
  const copy = await import('./bundler-process.js');
  expect(copy.withBundler).not.toBe(withBundler);
  const { release, long } = longBuild(copy.withBundler);
  vi.advanceTimersByTime(30_000);
  expect(processes()).toBe(1);
  release();
  await long;
  vi.advanceTimersByTime(30_000);
  await expect.poll(processes).toBe(0);
});

it('builds although its process is killed, then and later', async () => {
  vi.useRealTimers();
  await bundle();
  const [pid] = descendants(process.pid).filter((one) => commandLine(one).includes('--service='));
  const waiting = { name: 'waiting', setup: (builder: PluginBuild) => builder.onStart(() => kill(pid!)) };
  const cut = () =>
    withBundler(() => build({ stdin: { contents: 'export const a = 1' }, write: false, plugins: [waiting] }));
  const results = await Promise.all([cut(), cut(), bundle()]);
  for (const { outputFiles } of results) expect(outputFiles).toHaveLength(1);
  expect((await bundle()).outputFiles).toHaveLength(1);
  expect(processes()).toBe(1);
});

it('gives up a build that takes too long, and the process with it; others go on with the next one', async () => {
  vi.useRealTimers();
  await bundle();
  const [pid] = descendants(process.pid).filter((one) => commandLine(one).includes('--service='));
  const stuck = withBundler(() => new Promise(() => undefined), 200);
  let begun = 0;
  const waiting = {
    name: 'waiting',
    // The first time it is ended from without; what esbuild is still asked for then is never answered.
    setup: (builder: PluginBuild) =>
      builder.onStart(() => (++begun === 1 ? new Promise<void>(() => undefined) : undefined)),
  };
  const other = withBundler(() =>
    build({ stdin: { contents: 'export const a = 1' }, write: false, plugins: [waiting] }),
  );
  await expect(stuck).rejects.toThrow(BuildTooLong);
  expect((await other).outputFiles).toHaveLength(1);
  expect(begun).toBe(2);
  await expect.poll(() => descendants(process.pid).includes(pid!)).toBe(false);
});

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It was killed before.
  }
}
