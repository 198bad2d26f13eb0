import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import WebSocket from 'ws';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { MovedClock } from '../support/moved-clock.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';
import { cellsOf } from '../support/processes.js';

/* The system clock of a kernel, of its database's thread and of its cells is set while everything is at work. */

const HOUR_MS = 3_600_000;

const source = pluginSource(`
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  let minutes = 0;
  let loads = 0;
  http.get('/stream', async function* () {
    for (let n = 0; n < 25; n++) {
      await sleep(100);
      yield { n };
    }
  });
  http.get('/slow', async () => {
    await sleep(2_000);
    return { done: true };
  });
  http.get('/never', { timeoutMs: 2_500 }, () => new Promise(() => {}));
  http.get('/kept', async () => ({ n: await cache.getOrSet('k', () => ++loads, { ttl: 600_000 }) }));
  http.get('/brief', async () => ({ n: await cache.getOrSet('brief', () => ++loads, { ttl: 500 }) }));
  ws.channel('slow', async ({ data }) => {
    await sleep(1_500);
    return { n: data.n };
  });
  const work = jobs.define('work', { timeoutMs: 30_000 }, async ({ data }) => {
    await sleep(data.ms);
    return { worked: true };
  });
  http.post('/work', { body: Type.Object({ ms: Type.Number(), delayMs: Type.Number() }) }, async ({ body }) => ({
    id: await work.send({ ms: body.ms }, { delayMs: body.delayMs }),
  }));
  schedule.cron('minutely', '* * * * *', () => void minutes++);
  http.get('/minutes', () => ({ minutes }));
`);

let clock: MovedClock;
let plugin: PluginOnDisk;
let other: PluginOnDisk;
let kernel: TestKernel;
let socket: WebSocket;

beforeAll(async () => {
  clock = new MovedClock();
  const permissions = { permissions: { jobs: true, schedule: true, cache: true } };
  plugin = writePlugin('timely', source, permissions);
  other = writePlugin('swapped', pluginSource(`http.get('/', () => ({ word: config.word }));`), {
    config: { type: 'object', properties: { word: { type: 'string', default: 'first' } } },
  });
  kernel = await startTestKernel({
    pluginPath: [plugin.dir, other.dir],
    env: { ...clock.env, ATOLL_LOG__LEVEL: 'warn' },
  });
  socket = new WebSocket(`${kernel.url.replace('http', 'ws')}/ws`, {
    headers: { authorization: `Bearer ${kernel.key}` },
  });
  await once(socket, 'open');
});
afterAll(async () => {
  socket?.terminate();
  await kernel?.stop();
  for (const one of [plugin, other]) one?.remove();
  clock?.remove();
});

const get = async <B>(path: string): Promise<{ status: number; body: B }> => {
  const response = await kernel.call(path);
  return { status: response.status, body: (await response.json()) as B };
};
const send = async <B>(method: string, path: string, body: unknown): Promise<{ status: number; body: B }> => {
  const headers = { 'content-type': 'application/json' };
  const response = await kernel.call(path, { method, headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as B };
};
const work = async (ms: number, delayMs: number) =>
  (await send<{ id: string }>('POST', '/x/timely/work', { ms, delayMs })).body.id;
const job = async (id: string) =>
  (await get<{ state: string; attempts: number; createdAt: string }>(`/api/v1/jobs/${id}`)).body;
const stream = async () => {
  const response = await kernel.call('/x/timely/stream', { headers: { accept: 'text/event-stream' } });
  return [...(await response.text()).matchAll(/^data: (.*)$/gm)].map(
    ([, data]) => (JSON.parse(data!) as { n: number }).n,
  );
};
const overSocket = async (n: number) => {
  socket.send(JSON.stringify({ id: n, type: 'call', channel: 'timely.slow', data: { n } }));
  for (;;) {
    const [data] = (await once(socket, 'message')) as [Buffer];
    const message = JSON.parse(data.toString()) as { id: number; type: string; data?: { n: number } };
    if (message.id === n) return message;
  }
};
/** By how many minutes the kernel's clock, and its database's, are off. */
const off = async () => {
  const seen = (await get<{ items: { lastSeenAt: string }[] }>('/api/v1/nodes')).body.items[0]!.lastSeenAt;
  const { createdAt } = await job(await work(0, 0));
  return [seen, createdAt].map((time) => Math.round((Date.parse(time) - Date.now()) / 60_000) + 0);
};

it.each([
  ['forward by an hour', HOUR_MS],
  ['back by two', -HOUR_MS],
  ['right again', 0],
])(
  'everything goes on when the clock is set %s',
  async (_, ms) => {
    const running = (await get<{ startedAt: string }>('/api/v1/plugins/timely')).body;
    const cells = cellsOf(kernel.process.pid!);
    const { minutes } = (await get<{ minutes: number }>('/x/timely/minutes')).body;
    const kept = (await get('/x/timely/kept')).body;
    const brief = (await get('/x/timely/brief')).body;
    const long = await work(4_000, 0);
    await expect.poll(async () => (await job(long)).state).toBe('running');
    const delayed = await work(0, 2_000);
    const calls = [stream(), get('/x/timely/slow'), get('/x/timely/never'), overSocket(ms)] as const;
    const swap = send('PUT', '/api/v1/plugins/swapped/config', { word: `at ${ms}` });
    await new Promise((resolve) => setTimeout(resolve, 300));

    clock.set(ms);

    const [numbers, slow, never, answer] = await Promise.all(calls);
    expect(numbers).toEqual(Array.from({ length: 25 }, (_, n) => n));
    expect(slow).toEqual({ status: 200, body: { done: true } });
    expect(never).toMatchObject({ status: 504, body: { code: 'PLUGIN_TIMEOUT' } });
    expect(answer).toMatchObject({ type: 'result', data: { n: ms } });
    expect((await swap).status).toBe(200);
    expect(await off()).toEqual([ms / 60_000, ms / 60_000]);

    await expect.poll(() => job(long)).toMatchObject({ state: 'completed', attempts: 1 });
    await expect.poll(() => job(delayed)).toMatchObject({ state: 'completed', attempts: 1 });
    await expect.poll(async () => (await job(await work(0, 0))).state).toBe('completed');
    await expect.poll(async () => (await get('/x/timely/brief')).body).not.toEqual(brief);
    expect((await get('/x/timely/kept')).body).toEqual(kept);
    expect((await send('PUT', '/api/v1/plugins/swapped/config', { word: `after ${ms}` })).status).toBe(200);
    expect((await get('/x/swapped')).body).toEqual({ word: `after ${ms}` });
    await expect
      .poll(async () => (await get<{ minutes: number }>('/x/timely/minutes')).body.minutes, { timeout: 90_000 })
      .toBeGreaterThan(minutes);

    expect((await get('/api/v1/plugins/timely')).body).toMatchObject({ state: 'active', startedAt: running.startedAt });
    expect(cellsOf(kernel.process.pid!)).toEqual(expect.arrayContaining(cells.slice(0, 1)));
    expect((await get('/health/ready')).body).toMatchObject({ status: 'ok' });
    expect((await get('/api/v1/audit/verify')).body).toMatchObject({ intact: true });
    expect(kernel.output()).not.toMatch(/giving up a cell|the job queue failed|could not be/);
  },
  150_000,
);
