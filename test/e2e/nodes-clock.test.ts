import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MovedDatabaseClock } from '../support/moved-database-clock.js';
import { HAS_SERVERS, type NodeInfo, type TestNode, TestNodes } from '../support/nodes.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

/* The clock of the database that several nodes share is set while they are at work. Their own stay as they are. */

const worker = pluginSource(`
  const runs = storage.collection('runs', { schema: Type.Object({ node: Type.String() }) });
  const long = jobs.define('long', { timeoutMs: 60_000 }, async () => {
    await runs.insert({ node: config.node });
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    return { node: config.node };
  });
  http.post('/', async () => ({ id: await long.send({}) }));
  http.get('/', async () => ({ runs: (await runs.find({ orderBy: 'id', limit: 200 })).items.map(({ node }) => node) }));
`);

let nodes: TestNodes;
let clock: MovedDatabaseClock;
let plugin: PluginOnDisk;
let a: TestNode;
let b: TestNode;

describe.runIf(HAS_SERVERS)('nodes on a database', () => {
  beforeAll(async () => {
    nodes = await TestNodes.open();
    clock = await MovedDatabaseClock.of(nodes.postgres.url);
    plugin = writePlugin('worker', worker, {
      permissions: { storage: true, jobs: true },
      config: { type: 'object', properties: { node: { type: 'string', default: '' } } },
    });
    a = await nodes.start('a', [plugin.dir], { ATOLL_PLUGINS__CONFIG__WORKER__NODE: 'a' });
    b = await nodes.start('b', [plugin.dir], { ATOLL_PLUGINS__CONFIG__WORKER__NODE: 'b' });
  }, 120_000);
  afterAll(async () => {
    await clock?.close();
    await nodes?.close();
    plugin?.remove();
  });

  const start = async (node: TestNode) => (await node.call<{ id: string }>('POST', '/x/worker', {})).body.id;
  const job = async (node: TestNode, id: string) =>
    (await node.call<{ state: string; attempts: number }>('GET', `/api/v1/jobs/${id}`)).body;
  const runs = async (node: TestNode) => (await node.call<{ runs: string[] }>('GET', '/x/worker')).body.runs;
  const states = async (node: TestNode) =>
    (await node.call<{ items: NodeInfo[] }>('GET', '/api/v1/nodes')).body.items.map(({ state }) => state);
  const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

  it.each(['1 hour', '-1 hour'])(
    'keep their places and their jobs when its clock is set to %s',
    async (step) => {
      const before = (await runs(a)).length;
      const ids = await Promise.all([start(a), start(b)]);
      await expect.poll(async () => (await runs(a)).length).toBe(before + 2);
      await clock.set(step);
      const seen = new Set<string>();
      // As long as a lease lasts, and as the nodes take to believe the new time.
      for (let n = 0; n < 60; n++) {
        for (const node of [a, b]) for (const state of await states(node)) seen.add(state);
        await wait(250);
      }
      expect([...seen]).toEqual(['ready']);
      for (const id of ids) expect(await job(a, id)).toMatchObject({ state: 'completed', attempts: 1 });
      expect(await runs(a)).toHaveLength(before + 2);
      for (const [node, action, state] of [
        [a, 'disable', 'stopped'],
        [b, 'enable', 'active'],
      ] as const) {
        expect((await node.call('POST', `/api/v1/plugins/worker/${action}`)).status).toBe(200);
        for (const one of [a, b]) await expect.poll(async () => (await one.plugin('worker')).state).toBe(state);
      }
    },
    90_000,
  );

  it('miss one that is killed, and take over its job, although its lease ends in an hour by the clock', async () => {
    const before = (await runs(a)).length;
    const id = await start(a);
    await expect.poll(async () => (await runs(a)).length).toBe(before + 1);
    const victim = (await runs(a)).at(-1) === 'b' ? b : a;
    const other = victim === a ? b : a;
    victim.kernel.process.kill('SIGKILL');
    await clock.set('-2 hours');
    await expect.poll(async () => (await job(other, id)).state, { timeout: 40_000 }).toBe('completed');
    await expect.poll(async () => (await states(other)).includes('dead'), { timeout: 20_000 }).toBe(true);
    expect((await other.call('POST', '/api/v1/plugins/worker/disable')).status).toBe(200);
  }, 90_000);
});
