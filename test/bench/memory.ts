import { readFileSync } from 'node:fs';
import { descendants, proportionalSize } from '../support/processes.js';
import { type BenchPlugin, startAtoll } from './atoll-process.js';
import { megabytes, type Row } from './report.js';
import { median } from './stats.js';

const COUNTS = [1, 50, 200];
const READINGS = 3;
const SETTLE_MS = 1_500;
const LIMIT = 1e9;

/** Bytes of one reading. */
interface Memory {
  all: number;
  /** The part of it that esbuild has. */
  bundler: number;
}

/** Memory of the kernel and everything it started, with plugins that do nothing. */
export async function benchMemory(): Promise<Row[]> {
  const used: [count: number, memory: Memory][] = [];
  for (const count of COUNTS) used.push([count, await measure(count)]);
  const [least, most] = [used[0]!, used.at(-1)!];
  const each = (most[1].all - least[1].all) / (most[0] - least[0]);
  return used.map(([count, { all, bundler }]) => ({
    what: `Memory (PSS), ${count} idle ${count === 1 ? 'plugin' : 'plugins'}`,
    result: `${megabytes(all)}, of which the bundler ${megabytes(bundler)}`,
    ...(count === most[0] && {
      baseline: `${megabytes(least[1].all)} with one: ${(each / 1e6).toFixed(1)} MB each`,
      target: '< 1 GB',
      met: all < LIMIT,
    }),
  }));
}

async function measure(count: number): Promise<Memory> {
  const setup = (n: number) =>
    `http.get('/', { query: Type.Object({ n: Type.Number() }) }, ({ query }) => ({ n: query.n + ${n} }));`;
  const plugins = Array.from({ length: count }, (_, n): BenchPlugin => ({ id: `idle-${n}`, setup: setup(n) }));
  await using atoll = await startAtoll(plugins);
  const { pid } = atoll.kernel.process;
  const readings: Memory[] = [];
  for (let n = 0; n < READINGS; n++) {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    readings.push(read(pid!));
  }
  return { all: median(readings.map(({ all }) => all)), bundler: median(readings.map(({ bundler }) => bundler)) };
}

function read(pid: number): Memory {
  const memory: Memory = { all: 0, bundler: 0 };
  for (const each of [pid, ...descendants(pid)]) {
    const bytes = proportionalSize(each);
    memory.all += bytes;
    if (readFileSync(`/proc/${each}/cmdline`, 'latin1').includes('esbuild')) memory.bundler += bytes;
  }
  return memory;
}
