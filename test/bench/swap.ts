import { Agent, request } from 'node:http';
import { type Atoll, startAtoll } from './atoll-process.js';
import { ms, type Row } from './report.js';
import { median } from './stats.js';

const RATE = 300;
const SECONDS = 10;
const LIMIT_MS = 150;
const PLUGIN = { id: 'swapped', setup: "http.get('/', () => ({ ok: true }));" };

/** Requests at a constant rate, first with nothing else going on, then with one swap after the other. */
export async function benchSwap(): Promise<Row[]> {
  await using atoll = await startAtoll([PLUGIN]);
  await load(atoll, 2);
  const calm = await load(atoll, SECONDS);
  let done = false;
  const swaps: number[] = [];
  const swapping = (async () => {
    while (!done) swaps.push(await swap(atoll));
  })();
  const busy = await load(atoll, SECONDS);
  done = true;
  await swapping;
  return [
    {
      what: `${swaps.length} swaps in a row under ${RATE} requests/s`,
      result: `${ms(median(swaps))} a swap, ${busy.failed} of ${busy.times.length} requests failed`,
      target: `≤ ${LIMIT_MS} ms, none fails`,
      met: median(swaps) <= LIMIT_MS && busy.failed === 0,
    },
    {
      what: 'Requests meanwhile, p50 and p99',
      result: `${ms(quantile(busy.times, 0.5))} and ${ms(quantile(busy.times, 0.99))}`,
      baseline: `without swaps ${ms(quantile(calm.times, 0.5))} and ${ms(quantile(calm.times, 0.99))}`,
    },
  ];
}

/** The bundle is at hand, as it is with an installed package. */
async function swap({ kernel }: Atoll): Promise<number> {
  const began = performance.now();
  const response = await kernel.call(`/api/v1/plugins/${PLUGIN.id}/reload`, { method: 'POST' });
  const { state } = (await response.json()) as { state: string };
  if (state !== 'active') throw new Error(`After a swap the plugin is ${state}.`);
  return performance.now() - began;
}

/** Sends on time, whatever has been answered: a slow answer must not hide the ones behind it. */
async function load({ kernel }: Atoll, seconds: number): Promise<{ times: number[]; failed: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const times: number[] = [];
  let failed = 0;
  const sent: Promise<void>[] = [];
  const began = performance.now();
  for (let n = 0; n < RATE * seconds; n++) {
    const due = began + (n * 1_000) / RATE;
    while (performance.now() < due) await new Promise((resolve) => setTimeout(resolve, 1));
    const one = get(`${kernel.url}/x/${PLUGIN.id}`, kernel.key, agent).then((fine) => {
      times.push(performance.now() - due);
      if (!fine) failed++;
    });
    sent.push(one);
  }
  await Promise.all(sent);
  agent.destroy();
  return { times, failed };
}

function get(url: string, key: string, agent: Agent): Promise<boolean> {
  return new Promise((resolve) => {
    const outgoing = request(url, { agent, headers: { authorization: `Bearer ${key}` } }, (response) => {
      response.resume().on('end', () => resolve(response.statusCode === 200));
    });
    outgoing.on('error', () => resolve(false));
    outgoing.end();
  });
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!;
}
