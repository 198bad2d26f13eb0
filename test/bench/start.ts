import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startTestKernel } from '../support/kernel.js';
import { startAtoll } from './atoll-process.js';
import { ms, type Row } from './report.js';
import { median } from './stats.js';

const WARM_UP = 5;
const TIMES = 21;

const BOOTS = 5;

/** From an empty data directory to ready, and from one that is there; and how long the database took, beside everything else. */
export async function benchBoot(): Promise<Row[]> {
  const [first, later] = [[], []] as { ready: number; database: number }[][];
  for (let n = 0; n < BOOTS; n++) {
    const dataDir = mkdtempSync(path.join(tmpdir(), 'atoll-boot-'));
    first!.push(await boot(dataDir));
    later!.push(await boot(dataDir));
    rmSync(dataDir, { recursive: true, force: true });
  }
  const row = (what: string, boots: { ready: number; database: number }[], limit: number): Row => {
    const database = median(boots.map((one) => one.database));
    const ready = median(boots.map((one) => one.ready));
    return {
      what,
      result: `ready after ${ms(ready)}, of which at most ${ms(database)} for the database`,
      target: `the database ≤ ${limit / 1_000} s`,
      met: database <= limit,
    };
  };
  return [row('First start, empty data directory', first!, 3_000), row('Later starts', later!, 2_000)];
}

async function boot(dataDir: string): Promise<{ ready: number; database: number }> {
  const kernel = await startTestKernel({ env: { ATOLL_DATA_DIR: dataDir } });
  await kernel.stop();
  const [, ready] = /ready in (\d+) ms/.exec(kernel.output()) ?? [];
  const [, database] = /database\s+(\d+) ms/.exec(kernel.output()) ?? [];
  return { ready: Number(ready), database: Number(database) };
}

/** An unchanged plugin is started anew and swapped in, in a warm cell. Its bundle comes from the cache: no build is in this. */
export async function benchStart(): Promise<Row[]> {
  const plugin = { id: 'started', setup: "http.get('/', () => ({ ok: true }));" };
  await using atoll = await startAtoll([plugin]);
  const seen: number[] = [];
  const own: number[] = [];
  for (let n = -WARM_UP; n < TIMES; n++) {
    const began = performance.now();
    const response = await atoll.kernel.call(`/api/v1/plugins/${plugin.id}/reload`, { method: 'POST' });
    const { state, startMs } = (await response.json()) as { state: string; startMs: number };
    const took = performance.now() - began;
    if (state !== 'active') throw new Error(`After a reload the plugin is ${state}.`);
    if (n < 0) continue;
    seen.push(took);
    own.push(startMs);
  }
  const took = median(seen);
  return [
    {
      what: 'Plugin start in a warm cell (reload as the client sees it, bundle cached)',
      result: `${ms(took)} (the plugin says ${ms(median(own))})`,
      target: '≤ 100 ms',
      met: took <= 100,
    },
  ];
}
