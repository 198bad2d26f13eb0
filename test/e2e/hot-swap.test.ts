import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

interface Info {
  state: string;
  version: string;
  retiring?: unknown[];
  effects: unknown[];
}

/** Counts what it was asked in memory, and hands that over. */
const counter = (label: string, handoff: string) =>
  pluginSource(`
  let count = 0;
  let heard = 0;
  ${handoff}
  http.post('/', { body: Type.Object({ text: Type.String() }) }, ({ body }) => ({ label: '${label}', text: body.text, n: ++count }));
  http.get('/count', () => ({ count, heard }));
  http.get('/stream', async function* () {
    for (let n = 0; n < 20; n++) { yield { label: '${label}', n }; await new Promise((r) => setTimeout(r, 20)); }
  });
  http.post('/emit', async () => { for (let n = 0; n < 50; n++) await events.emit('swapper.tick', { n }); return {}; });
  events.on('swapper.tick', async () => { await new Promise((r) => setTimeout(r, 2)); heard++; });
  ws.channel('echo', Type.Object({ n: Type.Integer() }), ({ data }) => ({ label: '${label}', n: data.n }));
  services.provide({ name: 'swapped', version: '1.0.0', methods: { who: { output: Type.String() } } }, { who: () => '${label}' });
`);
const HANDOFF = `lifecycle.onHandoff({ version: 1, give: () => ({ count, heard }), receive: ({ state }) => { count = state.count; heard = state.heard; } });`;

let kernel: TestKernel;
let swapper: PluginOnDisk;
let user: PluginOnDisk;

beforeAll(async () => {
  swapper = writePlugin('swapper', counter('v0', HANDOFF), {
    provides: { swapped: '1.0.0' },
    permissions: { events: { publish: ['swapper.*'], subscribe: ['swapper.*'] } },
    limits: { concurrency: 64, timeoutMs: 5_000 },
  });
  user = writePlugin(
    'user',
    pluginSource(`const swapped = services.use('swapped'); http.get('/', async () => ({ who: await swapped.who() }));`),
    { consumes: { swapped: '^1.0.0' } },
  );
  kernel = await startTestKernel({ pluginPath: [swapper.dir, user.dir] });
}, 60_000);

afterAll(async () => {
  await kernel?.stop();
  swapper?.remove();
  user?.remove();
});

const reload = (body: object = {}) =>
  kernel.call('/api/v1/plugins/swapper/reload', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const show = async (id: string) => (await (await kernel.call(`/api/v1/plugins/${id}`)).json()) as Info;
const count = async () => (await (await kernel.call('/x/swapper/count')).json()) as { count: number; heard: number };
const post = (text: string) =>
  kernel.call('/x/swapper', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ text }),
  });

/** Clients of every kind that go on until they are stopped; each answer has to be whole. */
function traffic() {
  let stopped = false;
  const failures: string[] = [];
  const answers = { json: 0, stream: 0, socket: 0, service: 0 };
  const loop = async (kind: keyof typeof answers, once: (n: number) => Promise<void>) => {
    for (let n = 0; !stopped; n++) {
      try {
        await once(n);
        answers[kind]++;
      } catch (error) {
        failures.push(`${kind}: ${String(error)}`);
      }
    }
  };
  const json = async (n: number) => {
    const response = await post(`t${n}`);
    const body = (await response.json()) as { text?: string };
    if (response.status !== 200 || body.text !== `t${n}`) throw new Error(`${response.status} ${JSON.stringify(body)}`);
  };
  const stream = async () => {
    const response = await kernel.call('/x/swapper/stream', { headers: { accept: 'text/event-stream' } });
    const text = await response.text();
    const events = [...text.matchAll(/data: (.*)\n\n/g)].map(
      ([, data]) => JSON.parse(data!) as { label: string; n: number },
    );
    const whole = events.map(({ n }) => n).join() === Array.from({ length: 20 }, (_, n) => n).join();
    const one = new Set(events.map(({ label }) => label)).size === 1;
    if (!whole || !one) throw new Error(`a broken stream: ${text.slice(0, 500)}`);
  };
  const service = async () => {
    const response = await kernel.call('/x/user');
    const body = (await response.json()) as { who?: string };
    if (response.status !== 200 || !body.who?.startsWith('v'))
      throw new Error(`${response.status} ${JSON.stringify(body)}`);
  };
  const socket = new WebSocket(`${kernel.url.replace('http', 'ws')}/ws`, {
    headers: { authorization: `Bearer ${kernel.key}` },
  });
  let closed: number | undefined;
  socket.on('close', (code) => (closed = code));
  const waiting = new Map<number, (message: { type: string; data?: { n: number } }) => void>();
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as { id: number; type: string };
    waiting.get(message.id)?.(message);
  });
  const overSocket = async (n: number) => {
    const reply = await new Promise<{ type: string; data?: { n: number } }>((resolve, reject) => {
      waiting.set(n, resolve);
      socket.send(JSON.stringify({ id: n, type: 'call', channel: 'swapper.echo', data: { n } }));
      setTimeout(() => reject(new Error('no answer')), 10_000).unref();
    });
    waiting.delete(n);
    // A client may send so many messages a second.
    await new Promise((resolve) => setTimeout(resolve, 20));
    if (reply.data?.n !== n) throw new Error(JSON.stringify(reply));
  };
  const open = new Promise((resolve) => socket.once('open', resolve));
  const loops = open.then(() =>
    Promise.all([
      loop('json', json),
      loop('json', json),
      loop('stream', stream),
      loop('service', service),
      loop('socket', overSocket),
    ]),
  );
  return async () => {
    stopped = true;
    await loops;
    const stayed = closed === undefined;
    socket.close();
    return { failures, answers, stayed };
  };
}

describe('a swap', () => {
  it('fails no request, stream, socket or service call, many times in a row', async () => {
    const stop = traffic();
    for (let n = 1; n <= 30; n++) {
      swapper.write(counter(`v${n}`, HANDOFF));
      expect((await reload()).status).toBe(200);
    }
    const { failures, answers, stayed } = await stop();
    expect(failures).toEqual([]);
    expect(stayed).toBe(true);
    for (const [kind, number] of Object.entries(answers)) expect(number, kind).toBeGreaterThan(3);
    await expect.poll(async () => (await show('swapper')).retiring, { timeout: 10_000 }).toBeUndefined();
  });

  it('hands state over: nothing that was counted is lost', async () => {
    const before = (await count()).count;
    let asked = 0;
    let stopped = false;
    const asking = (async () => {
      while (!stopped) {
        expect((await post('x')).status).toBe(200);
        asked++;
      }
    })();
    for (let n = 0; n < 10; n++) expect((await reload()).status).toBe(200);
    stopped = true;
    await asking;
    expect((await count()).count).toBe(before + asked);
  });

  it('loses no event that was published before it', async () => {
    const { heard } = await count();
    await kernel.call('/x/swapper/emit', { method: 'POST' });
    expect((await reload()).status).toBe(200);
    await expect.poll(async () => (await count()).heard, { timeout: 10_000 }).toBe(heard + 50);
  });

  it('that cannot hand over changes nothing, unless the state may be lost', async () => {
    const { count: counted } = await count();
    for (const broken of [
      `lifecycle.onHandoff({ version: 2, receive: () => { throw new Error('what is this?'); } });`,
      `lifecycle.onHandoff({ version: 2, receive: () => new Promise(() => {}) });`,
    ]) {
      swapper.write(counter('broken', broken));
      const refused = await reload();
      expect(refused.status).toBe(502);
      expect(await refused.json()).toMatchObject({ code: 'PLUGIN_HANDOFF_FAILED' });
      expect((await count()).count).toBe(counted);
    }
    expect((await reload({ discardState: true })).status).toBe(200);
    expect(await (await post('x')).json()).toMatchObject({ label: 'broken', n: 1 });
  }, 60_000);

  it('takes a request whose body was still on its way to the new version', async () => {
    swapper.write(counter('before', ''));
    await reload();
    const socket = connect(Number(new URL(kernel.url).port), '127.0.0.1');
    const body = JSON.stringify({ text: 'late' });
    socket.write(
      `POST /x/swapper HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${kernel.key}\r\nconnection: close\r\n` +
        `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body.slice(0, 5)}`,
    );
    await new Promise((resolve) => setTimeout(resolve, 100));
    swapper.write(counter('after', ''));
    expect((await reload()).status).toBe(200);
    await expect.poll(async () => (await show('swapper')).retiring).toBeUndefined();
    let text = '';
    socket.on('data', (data: Buffer) => (text += data.toString()));
    socket.write(body.slice(5));
    await new Promise((resolve) => socket.once('close', resolve));
    expect(text).toContain('"label":"after"');
  });
});
