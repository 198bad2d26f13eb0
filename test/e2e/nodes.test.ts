import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HAS_SERVERS, type NodeInfo, type TestNode, TestNodes } from '../support/nodes.js';
import { packSample } from '../support/packages.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

/* Kernel processes on one PostgreSQL database and one Redis (TEST_DATABASE_URL and TEST_REDIS_URL). */

/** NODES_SWITCHES=50 is the run by hand: it holds the nodes to their times, and tells what they were. */
const SWITCHES = Number(process.env.NODES_SWITCHES ?? 10);
const BY_HAND = process.env.NODES_SWITCHES !== undefined;
/** On a machine that does nothing else. */
const CONVERGE_MS = BY_HAND ? 2_000 : 15_000;
const TAKEOVER_MS = BY_HAND ? 15_000 : 30_000;

const report = (text: string) => BY_HAND && process.stdout.write(`${text}\n`);

const steady = pluginSource(`
  let n = 0;
  const heard = [];
  events.on('user.created', ({ data }) => { heard.push(data.n); });
  http.get('/heard', () => ({ heard }));
  http.get('/', () => ({ n: ++n }));
  http.post('/emit', { body: Type.Object({ topic: Type.String(), data: Type.Unknown() }) }, async ({ body }) => {
    await events.emit(body.topic, body.data);
    return {};
  });
`);
/** A job that leaves a trace of when it ran where. */
const worker = pluginSource(`
  const beats = storage.collection('beats', { schema: Type.Object({ run: Type.String(), node: Type.String(), at: Type.Number() }) });
  const long = jobs.define('long', { timeoutMs: 60000 }, async ({ signal }) => {
    const run = crypto.randomUUID();
    for (let n = 0; n < 15; n++) {
      signal.throwIfAborted();
      await beats.insert({ run, node: config.node, at: Date.now() });
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return { node: config.node };
  });
  http.post('/start', async () => ({ id: await long.send({}) }));
  http.get('/beats', async () => ({ beats: (await beats.find({ limit: 200 })).items }));
`);

let nodes: TestNodes;
let a: TestNode;
let b: TestNode;
const plugins: PluginOnDisk[] = [];
const packages = mkdtempSync(path.join(tmpdir(), 'atoll-nodes-'));

const until = async (what: string, test: () => Promise<boolean>, ms = 15_000): Promise<number> => {
  const began = performance.now();
  while (!(await test())) {
    if (performance.now() - began > ms) throw new Error(`Not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return performance.now() - began;
};
const bothHave = (id: string, state: string | undefined, version?: string) =>
  until(`${id} is ${state ?? 'gone'}`, async () => {
    const found = await Promise.all([a, b].map((node) => node.plugin(id)));
    return found.every((one) => one.state === state && (version === undefined || one.version === version));
  });
const publish = async (node: TestNode, id: string, version: string) => {
  const files = { 'src/index.ts': pluginSource(`http.get('/', () => ({ version: '${version}' }));`) };
  const { bytes } = await packSample(packages, { id, version, atoll: { mounts: [`/x/${id}`] }, files });
  const { status, body } = await node.call('POST', '/api/v1/marketplace/publish', new Uint8Array(bytes));
  expect(body).toMatchObject({ outcome: 'added' });
  expect(status).toBe(201);
};
const listed = async (node: TestNode) => (await node.call<{ items: NodeInfo[] }>('GET', '/api/v1/nodes')).body.items;

describe.runIf(HAS_SERVERS)('several nodes', () => {
  beforeAll(async () => {
    nodes = await TestNodes.open();
    plugins.push(
      writePlugin('steady', steady, {
        permissions: { events: { publish: ['steady.*', 'user.*'], subscribe: ['user.*'] } },
      }),
      writePlugin('switched', pluginSource(`http.get('/', () => ({}));`)),
      writePlugin('worker', worker, {
        permissions: { storage: true, jobs: true },
        config: { type: 'object', properties: { node: { type: 'string', default: '' } } },
      }),
    );
    const dirs = plugins.map(({ dir }) => dir);
    a = await nodes.start('a', dirs, { ATOLL_PLUGINS__CONFIG__WORKER__NODE: 'a' });
    b = await nodes.start('b', dirs, { ATOLL_PLUGINS__CONFIG__WORKER__NODE: 'b' });
  }, 120_000);
  afterAll(async () => {
    await nodes?.close();
    for (const plugin of plugins) plugin.remove();
    rmSync(packages, { recursive: true, force: true });
  });

  it('know each other', async () => {
    for (const node of [a, b])
      await until('both are ready', async () => {
        const all = await listed(node);
        return all.length === 2 && all.every(({ state, converged }) => state === 'ready' && converged);
      });
    expect((await a.call('GET', '/api/v1/nodes/b')).body).toMatchObject({
      id: 'b',
      pid: b.kernel.process.pid,
      address: b.kernel.url,
      problems: [],
    });
    const page = await a.call<{ items: NodeInfo[]; nextCursor: string }>('GET', '/api/v1/nodes?limit=1');
    expect([page.body.items.map(({ id }) => id), page.body.nextCursor]).toEqual([['a'], 'a']);
    expect((await b.call('GET', '/api/v1/nodes/nobody')).status).toBe(404);
    expect((await b.ready()).body).toEqual({ status: 'ok', checks: { plugins: true, database: true, node: true } });
  });

  it('refuse one with another master key, and one with the name of another', async () => {
    const key = { ATOLL_MASTER_KEY: 'the-master-key-of-another-installation-000' };
    await Promise.all([
      expect(nodes.start('c', [], key)).rejects.toThrow(/another master key[\s\S]*ATOLL_MASTER_KEY/),
      expect(nodes.start('a', [])).rejects.toThrow(/node\.id: "a" is the node at http[\s\S]*ATOLL_NODE__ID/),
    ]);
  });

  it('run the same plugins, whichever of them is told, while clients go on', async () => {
    const load = traffic([a, b]);
    let slowest = 0;
    for (let n = 0; n < SWITCHES; n++) {
      const [one, other] = n % 2 === 0 ? [a, b] : [b, a];
      const [action, state] = n % 2 === 0 ? ['disable', 'stopped'] : ['enable', 'active'];
      const { status, body } = await one.call('POST', `/api/v1/plugins/switched/${action}`);
      expect({ status, state: body.state }).toEqual({ status: 200, state });
      const ms = await until(
        `${other.id} has it ${state}`,
        async () => (await other.plugin('switched')).state === state,
        CONVERGE_MS,
      );
      slowest = Math.max(slowest, ms);
    }
    const { requests, failures } = await load.stop();
    expect(failures).toEqual([]);
    expect(requests).toBeGreaterThan(SWITCHES);
    report(`${SWITCHES} switches, slowest ${Math.round(slowest)} ms, ${requests} requests, none failed`);
    await until('both have acknowledged', async () => (await listed(a)).every(({ converged }) => converged));
    const [first, second] = await listed(b);
    expect(first!.generation).toBe(second!.generation);
  }, 180_000);

  it('take turns when both are told something at once', async () => {
    const told = await Promise.all([
      a.call('POST', '/api/v1/plugins/switched/disable'),
      b.call('PUT', '/api/v1/plugins/worker/config', { node: 'both' }),
      b.call('POST', '/api/v1/plugins/switched/enable'),
      a.call('POST', '/api/v1/plugins/switched/enable'),
    ]);
    expect(told.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    await bothHave('switched', 'active');
    await until('a has the configuration', async () => {
      const { body } = await a.call<{ values: { node: string } }>('GET', '/api/v1/plugins/worker/config');
      return body.values.node === 'both';
    });
    await b.call('PUT', '/api/v1/plugins/worker/config', {});
  });

  it('share packages: published here, installed there, upgraded, rolled back and removed', async () => {
    await publish(a, 'tide', '1.0.0');
    expect((await b.call('POST', '/api/v1/marketplace/tide/install', { consent: true })).status).toBe(200);
    await bothHave('tide', 'active', '1.0.0');
    await publish(b, 'tide', '1.1.0');
    expect((await a.call('POST', '/api/v1/plugins/tide/upgrade', { consent: true })).status).toBe(200);
    await bothHave('tide', 'active', '1.1.0');
    expect((await b.call('GET', '/x/tide')).body).toEqual({ version: '1.1.0' });
    expect((await b.call('POST', '/api/v1/plugins/tide/rollback', {})).status).toBe(200);
    await bothHave('tide', 'active', '1.0.0');
    expect((await a.call('POST', '/api/v1/marketplace/tide/versions/1.1.0/yank', { reason: 'wrong' })).status).toBe(
      200,
    );
    await until('b knows of the yank', async () => {
      const { body } = await b.call<{ yanked?: object }>('GET', '/api/v1/marketplace/tide/versions/1.1.0');
      return body.yanked !== undefined;
    });
    expect((await a.call('DELETE', '/api/v1/plugins/tide')).status).toBe(200);
    await bothHave('tide', undefined);
    expect((await b.call('DELETE', '/api/v1/marketplace/tide/versions/1.1.0')).status).toBe(204);
    await until(
      'a has it deleted',
      async () => (await a.call('GET', '/api/v1/marketplace/tide/versions/1.1.0')).status === 404,
    );
  });

  it('a node that can not follow leaves the rotation until it can, and says why', async () => {
    const strict = await nodes.start('strict', [plugins[0]!.dir], { ATOLL_MARKETPLACE__SIGNATURES: 'required' });
    await publish(a, 'eddy', '1.0.0');
    expect((await a.call('POST', '/api/v1/marketplace/eddy/install', { consent: true })).status).toBe(200);
    await bothHave('eddy', 'active');
    await until('it is fenced', async () => (await strict.ready()).status === 503);
    expect((await strict.ready()).body).toMatchObject({
      checks: { node: false, database: true },
      reasons: { node: expect.stringContaining('eddy: The package is not signed') },
    });
    // It keeps serving what it has, and changes nothing.
    expect((await strict.call('GET', '/x/steady')).status).toBe(200);
    expect((await strict.call('POST', '/api/v1/plugins/steady/disable')).status).toBe(409);
    expect((await a.plugin('eddy')).notConverged).toEqual([
      { node: 'strict', reason: expect.stringContaining('not signed') },
    ]);
    expect((await listed(b)).find(({ id }) => id === 'strict')).toMatchObject({
      state: 'fenced',
      converged: false,
      problems: [{ plugin: 'eddy' }],
    });
    expect((await a.ready()).status).toBe(200);
    await a.call('DELETE', '/api/v1/plugins/eddy');
    await until('it is back', async () => (await strict.ready()).status === 200);
    await until('all have converged', async () => (await a.plugin('steady')).notConverged === undefined);
    expect(await strict.kernel.stop()).toBe(0);
    expect((await listed(a)).find(({ id }) => id === 'strict')?.state).toBe('stopped');
  });

  it('tell each other of events, also of those that happen while Redis is away', async () => {
    const [here, there] = [await a.listen('**'), await b.listen('**')];
    const emit = async (topic: string, n: number) =>
      expect((await a.call('POST', '/x/steady/emit', { topic, data: { n } })).status).toBe(200);
    const got = ({ events }: typeof here, type: string) => events.filter((event) => event.type === type);
    const numbers = (all: typeof here, type: string) => got(all, type).map(({ data }) => (data as { n: number }).n);
    await emit('steady.said', 1);
    await emit('user.created', 1);
    await until(
      'b has heard',
      async () => numbers(there, 'steady.said').length + numbers(there, 'user.created').length === 2,
    );
    expect(got(there, 'user.created')).toMatchObject([
      { node: 'a', source: '/plugins/steady', traceparent: expect.stringMatching(/^00-/) },
    ]);

    nodes.redis.cut();
    for (const node of [a, b])
      await until('it is flagged', async () => (await node.ready()).body.status === 'degraded');
    expect(await a.ready()).toMatchObject({
      status: 200,
      body: { reasons: { redis: expect.stringContaining('Redis') } },
    });
    await emit('steady.said', 2);
    for (let n = 2; n <= 40; n++) await emit('user.created', n);
    expect(numbers(here, 'user.created')).toHaveLength(40);
    expect(numbers(there, 'user.created')).toEqual([1]);
    // What plugins run is agreed on without Redis.
    expect((await b.call('POST', '/api/v1/plugins/switched/disable')).status).toBe(200);
    await bothHave('switched', 'stopped');
    nodes.redis.restore();
    await until('all of them have come', async () => numbers(there, 'user.created').length >= 40);
    await until('it is well', async () => (await b.ready()).body.status === 'ok');
    await emit('steady.said', 3);
    await until('b hears again', async () => numbers(there, 'steady.said').includes(3));
    await nodes.emptyRedis();
    await emit('user.created', 41);
    await until('it has come all the same', async () => numbers(there, 'user.created').includes(41));
    // In order, each once, and nothing back to where it came from.
    expect(numbers(there, 'user.created')).toEqual(Array.from({ length: 41 }, (_, n) => n + 1));
    expect(numbers(here, 'user.created')).toHaveLength(41);
    expect(numbers(here, 'steady.said')).toEqual([1, 2, 3]);
    for (const one of [here, there]) one.close();
  });

  it('without PostgreSQL are not ready, serve what they can, and heal', async () => {
    expect((await a.call('POST', '/api/v1/plugins/switched/enable')).status).toBe(200);
    nodes.postgres.cut();
    for (const node of [a, b]) {
      await until('it is not ready', async () => (await node.ready()).status === 503);
      expect((await node.ready()).body.checks).toMatchObject({ database: false, plugins: true });
      expect((await node.call('GET', '/x/steady')).status).toBe(200);
    }
    expect((await a.call('POST', '/api/v1/plugins/switched/disable')).status).toBe(503);
    nodes.postgres.restore();
    for (const node of [a, b]) await until('it is ready', async () => (await node.ready()).status === 200);
    // What was acknowledged before is there; what was refused is not.
    await bothHave('switched', 'active');
    expect((await b.call('POST', '/api/v1/plugins/switched/disable')).status).toBe(200);
    await bothHave('switched', 'stopped');
    await until('both have acknowledged', async () =>
      (await listed(a)).slice(0, 2).every(({ converged }) => converged),
    );
  });

  it('take over the jobs of one that is killed', async () => {
    const { body } = await a.call<{ id: string }>('POST', '/x/worker/start', {});
    const beats = async (node: TestNode) =>
      (await node.call<{ beats: { run: string; node: string; at: number }[] }>('GET', '/x/worker/beats')).body.beats;
    await until('it runs', async () => (await beats(a)).length > 2);
    const victim = (await beats(a))[0]!.node === 'a' ? a : b;
    const other = victim === a ? b : a;
    victim.kernel.process.kill('SIGKILL');
    const job = async () =>
      (await other.call<{ state: string; result?: unknown }>('GET', `/api/v1/jobs/${body.id}`)).body;
    const tookOver = await until(
      'the other has it',
      async () => (await beats(other)).some(({ node }) => node === other.id),
      TAKEOVER_MS,
    );
    report(`the job was taken over after ${Math.round(tookOver)} ms`);
    await until('it is done', async () => (await job()).state === 'completed', TAKEOVER_MS);
    expect((await job()).result).toEqual({ node: other.id });
    const runs = Map.groupBy(await beats(other), ({ run }) => run);
    const spans = [...runs.values()].map((run) => run.map(({ at }) => at)).sort((x, y) => x[0]! - y[0]!);
    expect(spans).toHaveLength(2);
    expect(Math.max(...spans[0]!)).toBeLessThan(Math.min(...spans[1]!));
    await until(
      'it counts as dead',
      async () => (await listed(other)).find(({ id }) => id === victim.id)?.state === 'dead',
    );
    expect((await other.ready()).status).toBe(200);

    // One that comes back is where the others are, and learns of what it has missed.
    await other.call('POST', '/x/steady/emit', { topic: 'user.created', data: { n: 1_000 } });
    const back = await nodes.start(
      victim.id,
      plugins.map(({ dir }) => dir),
    );
    const heard = async () => (await back.call<{ heard: number[] }>('GET', '/x/steady/heard')).body.heard;
    await until('it has heard', async () => (await heard()).includes(1_000));
    expect((await back.plugin('switched')).state).toBe((await other.plugin('switched')).state);
    expect((await listed(other)).find(({ id }) => id === victim.id)).toMatchObject({ state: 'ready', converged: true });
  }, 90_000);
});

/** Clients that ask these nodes one after the other, without a pause, until they are stopped. */
function traffic(all: readonly TestNode[]) {
  let stopped = false;
  let requests = 0;
  const failures: string[] = [];
  const loops = all
    .flatMap((node) => [node, node])
    .map(async (node) => {
      while (!stopped) {
        requests++;
        const { status } = await node.call('GET', '/x/steady').catch((error: Error) => ({ status: error.message }));
        if (status !== 200) failures.push(`${node.id}: ${status}`);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    });
  return {
    stop: async () => {
      stopped = true;
      await Promise.all(loops);
      return { requests, failures };
    },
  };
}
