import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type PluginOnDisk, writePlugin } from '../../../test/support/plugin-folder.js';
import { TEST_SERVER } from '../database/testing.js';
import { TestKernel } from '../identity/testing.js';
import { KERNEL_VERSION } from '../version.js';

interface Node {
  id: string;
  generation: number;
}

/** With the word `slow` it takes its time to start. */
const SPEAKER = `import { definePlugin } from '@atoll/plugin-sdk';
export default definePlugin(async ({ http, config }) => {
  if (config.word === 'slow') await new Promise((resolve) => setTimeout(resolve, 1_500));
  http.get('/', () => ({ word: config.word }));
});`;

let plugin: PluginOnDisk;
let kernel: TestKernel;
beforeAll(async () => {
  const config = { type: 'object', properties: { word: { type: 'string', default: 'first' } } };
  plugin = writePlugin('speaker', SPEAKER, { config });
  kernel = await TestKernel.start((settings) => {
    settings.plugins.path = [plugin.dir];
    settings.node.id = 'one';
    settings.node.heartbeatMs = 200;
  });
});
afterAll(async () => {
  await kernel?.close();
  plugin?.remove();
});

const says = async () => (await kernel.call<{ word: string }>('GET', '/x/speaker')).body.word;

it('a node that is alone is listed, ready and converged', async () => {
  const { body } = await kernel.call<{ items: Node[] }>('GET', '/api/v1/nodes');
  expect(body).toEqual({
    items: [
      {
        id: 'one',
        host: expect.any(String),
        pid: process.pid,
        address: kernel.url,
        version: KERNEL_VERSION,
        startedAt: expect.stringMatching(/Z$/),
        lastSeenAt: expect.stringMatching(/Z$/),
        state: 'ready',
        generation: expect.any(Number),
        converged: true,
        problems: [],
      },
    ],
  });
  expect((await kernel.call('GET', '/api/v1/nodes/one')).body).toMatchObject({ id: 'one', state: 'ready' });
  expect((await kernel.call('GET', '/api/v1/nodes/two')).status).toBe(404);
  expect((await kernel.call('GET', '/api/v1/nodes?limit=0')).status).toBe(422);
  expect((await kernel.call('GET', '/api/v1/nodes', { as: null })).status).toBe(401);
});

it('changes made at once come one after the other', async () => {
  const words = ['a', 'b', 'c', 'd'];
  const put = (word: string) => kernel.call('PUT', '/api/v1/plugins/speaker/config', { body: { word } });
  expect((await Promise.all(words.map(put))).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
  expect(words).toContain(await says());
});

describe.runIf(TEST_SERVER)('on a server', () => {
  const put = (word: string) => kernel.call('PUT', '/api/v1/plugins/speaker/config', { body: { word } });
  const until = async (sql: string) => {
    while ((await kernel.database.query(sql)).length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  const generation = async () => (await kernel.call<Node>('GET', '/api/v1/nodes/one')).body.generation;

  it('a change that another node has come in between of is undone, and says so', async () => {
    expect((await put('before')).status).toBe(200);
    const before = await generation();
    const change = put('slow');
    await until('select 1 from cluster.state where holder is not null');
    await kernel.database.query(`update cluster.state set holder = 'two x', held_until = now() + interval '1 second'`);
    expect(await change).toMatchObject({ status: 409, body: { code: 'CONFLICT' } });
    await expect.poll(says).toBe('before');
    expect(await generation()).toBe(before);
    // And it goes on when the other one is done, or is no more.
    expect((await put('after')).status).toBe(200);
    expect(await generation()).toBe(before + 1);
  });

  const node = (id: string) => kernel.call<{ state: string }>('GET', `/api/v1/nodes/${id}`);

  it('a node that has ended is missed although the clock was set back, and keeps nobody from changing anything', async () => {
    await kernel.database.query(
      `insert into cluster.node (id, incarnation, host, pid, address, version, started_at, seen_at, alive_until, state, generation, problems)
       values ('gone', gen_random_uuid(), 'h', 1, '', '', now(), now() + interval '1 hour', now() + interval '1 hour 3 seconds', 'ready', 0, '{}')`,
    );
    await kernel.database.query(
      `update cluster.state set holder = 'gone x', held_until = now() + interval '1 hour 10 seconds'`,
    );
    expect((await put('later')).status).toBe(200);
    await vi.waitFor(async () => expect((await node('gone')).body.state).toBe('dead'), 20_000);
    await kernel.database.query(`delete from cluster.node where id = 'gone'`);
  });

  it('a change goes on although the clock was set forward while it was made', async () => {
    const change = put('slow');
    await until('select 1 from cluster.state where holder is not null');
    await kernel.database.query(`update cluster.state set held_until = now() - interval '1 hour'`);
    expect((await change).status).toBe(200);
    expect((await put('after')).status).toBe(200);
  });

  it('what another node has decided is done here, and acknowledged', async () => {
    const before = await generation();
    await kernel.database.transaction(async () => {
      await kernel.database.query('update cluster.state set generation = generation + 1');
      await kernel.database.query(
        `update plugin_state set config = '{"word":"elsewhere"}', generation = (select generation from cluster.state)`,
      );
    });
    await expect.poll(says).toBe('elsewhere');
    await expect.poll(generation).toBe(before + 1);
  });

  it('what can not be done is told, and is no reason to leave when nobody does better', async () => {
    await kernel.database.query(`update cluster.state set generation = generation + 1`);
    await kernel.database.query(
      `insert into plugin_installation (id, version, former, installed_at, updated_at) values ('ghost', '1.0.0', '[]', now(), now())`,
    );
    const problems = [{ plugin: 'ghost', reason: 'The store has no ghost@1.0.0.' }];
    await expect
      .poll(async () => (await kernel.call('GET', '/api/v1/nodes/one')).body)
      .toMatchObject({ state: 'ready', converged: false, problems });
    expect((await kernel.call('GET', '/api/v1/plugins/speaker')).body.notConverged).toEqual([
      { node: 'one', reason: 'It has problems with ghost.' },
    ]);
    expect((await kernel.call('GET', '/health/ready')).status).toBe(200);
    await kernel.database.query(`delete from plugin_installation`);
    await kernel.database.query(`update cluster.state set generation = generation + 1`);
    await expect
      .poll(async () => (await kernel.call('GET', '/api/v1/nodes/one')).body)
      .toMatchObject({ converged: true });
  });
});
