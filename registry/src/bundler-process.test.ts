import { build } from 'esbuild';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { commandLine, descendants } from '../../test/support/processes.js';
import { withBundler } from './bundler-process.js';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
afterEach(() => vi.useRealTimers());

const bundle = () => withBundler(() => build({ stdin: { contents: 'export const a = 1' }, write: false }));
const processes = () => descendants(process.pid).filter((pid) => commandLine(pid).includes('--service=')).length;

it('ends the bundler’s process when nothing was built for a while, and starts it again', async () => {
  await bundle();
  expect(processes()).toBe(1);
  let release = () => {};
  const long = withBundler(() => new Promise<void>((resolve) => (release = resolve)));
  await bundle();
  vi.advanceTimersByTime(60_000);
  expect(processes()).toBe(1);
  release();
  await long;
  vi.advanceTimersByTime(60_000);
  await expect.poll(processes).toBe(0);
  expect((await bundle()).outputFiles).toHaveLength(1);
});
