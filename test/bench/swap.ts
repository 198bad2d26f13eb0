import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { TestKernel } from '../support/kernel.js';
import { newKey, packSample } from '../support/packages.js';
import { pluginSource } from '../support/plugin-folder.js';
import { startAtoll } from './atoll-process.js';
import { ms, type Row } from './report.js';
import { median, quantile } from './stats.js';
import { EVENTS, type Outcome, RATE, traffic } from './traffic.js';

const SWAPS = 200;
const CALM_MS = 10_000;
const LIMIT_MS = 150;
const ID = 'swapped';

const source = (version: string) =>
  pluginSource(`
  http.get('/', () => ({ ok: true, version: '${version}', tone: config.tone }));
  http.get('/stream', async function* () {
    for (let n = 0; n < ${EVENTS}; n++) { yield { n }; await new Promise((resolve) => setTimeout(resolve, 10)); }
  });
  ws.channel('echo', Type.Object({ n: Type.Integer() }), ({ data }) => ({ n: data.n }));
`);

/** Clients of all kinds at a constant rate, first with nothing else going on, then while versions and configuration change. */
export async function benchSwap(): Promise<Row[]> {
  await using atoll = await startAtoll([]);
  const { kernel } = atoll;
  await publish(kernel);
  await change(kernel, 'POST', `marketplace/${ID}/install`, { version: '1.0.0', consent: true });
  await traffic(kernel, ID, sleep(2_000));
  const calm = await traffic(kernel, ID, sleep(CALM_MS));
  const swaps: number[] = [];
  const busy = await traffic(kernel, ID, swapAll(kernel, swaps));
  const count = Object.values(busy.times).reduce((sum, { length }) => sum + length, busy.failures.length);
  if (busy.failures.length > 0) process.stderr.write(`${busy.failures.slice(0, 10).join('\n')}\n`);
  return [
    {
      what: `${SWAPS} upgrades, rollbacks and changes of configuration in a row under ${RATE} requests/s (JSON, SSE, WebSocket)`,
      result: `${ms(median(swaps))} a swap, ${busy.failures.length} of ${count} requests failed`,
      target: `≤ ${LIMIT_MS} ms, none fails`,
      met: median(swaps) <= LIMIT_MS && busy.failures.length === 0,
    },
    { what: 'JSON requests meanwhile, p50 and p99', result: figures(busy), baseline: `without swaps ${figures(calm)}` },
  ];
}

const figures = ({ times: { json } }: Outcome) => `${ms(quantile(json, 0.5))} and ${ms(quantile(json, 0.99))}`;
const sleep = (time: number) => new Promise<void>((resolve) => setTimeout(resolve, time));

async function publish(kernel: TestKernel): Promise<void> {
  const root = mkdtempSync(path.join(tmpdir(), 'atoll-bench-'));
  const key = newKey();
  for (const version of ['1.0.0', '2.0.0']) {
    const config = { type: 'object', properties: { tone: { type: 'string', default: 'plain' } } };
    const atoll = { mounts: [`/x/${ID}`], limits: { concurrency: 128 }, config };
    const { bytes } = await packSample(
      root,
      { id: ID, version, atoll, files: { 'src/index.ts': source(version) } },
      key,
    );
    const response = await kernel.call('/api/v1/marketplace/publish', { method: 'POST', body: new Uint8Array(bytes) });
    if (response.status !== 201) throw new Error(await response.text());
  }
  rmSync(root, { recursive: true });
}

/** Adds to `swaps` how long each took from the request to the answer, in ms: the new version serves then. */
async function swapAll(kernel: TestKernel, swaps: number[]): Promise<void> {
  for (let n = 0; n < SWAPS; n++) {
    const began = performance.now();
    if (n % 3 === 0) await change(kernel, 'POST', `plugins/${ID}/upgrade`, { version: '2.0.0', consent: true });
    else if (n % 3 === 1) await change(kernel, 'PUT', `plugins/${ID}/config`, { tone: `tone ${n}` });
    else await change(kernel, 'POST', `plugins/${ID}/rollback`, {});
    swaps.push(performance.now() - began);
  }
}

async function change(kernel: TestKernel, method: string, target: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const response = await kernel.call(`/api/v1/${target}`, { method, headers, body: JSON.stringify(body) });
  if (!response.ok) throw new Error(`${method} ${target}: ${response.status} ${await response.text()}`);
  await response.body?.cancel();
}
