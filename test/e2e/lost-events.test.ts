import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { HAS_SERVERS, type TestNode, TestNodes } from '../support/nodes.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

/* A node is killed when a change is committed, and nobody else has been told of it yet. */

const TOPIC = 'plugin.permissions.changed';
const listener = pluginSource(`
  const heard = [];
  events.on('${TOPIC}', ({ id, data }) => { heard.push({ id, granted: data.granted.length }); });
  http.get('/', () => ({ heard }));
`);

interface Heard {
  id: string;
  granted: number;
}

let nodes: TestNodes;
let a: TestNode;
let b: TestNode;
const plugins: PluginOnDisk[] = [];

describe.runIf(HAS_SERVERS)('what a node could not tell any more', () => {
  beforeAll(async () => {
    nodes = await TestNodes.open();
    plugins.push(
      writePlugin('listener', listener, { permissions: { events: { subscribe: [TOPIC] } } }),
      writePlugin('changed', pluginSource(`http.get('/', () => ({}));`), {
        permissions: { storage: true, jobs: true, cache: true },
      }),
    );
    [a, b] = [await start('a'), await start('b')];
  }, 120_000);
  afterAll(async () => {
    await nodes?.close();
    for (const plugin of plugins) plugin.remove();
  });

  const start = (id: string) =>
    nodes.start(
      id,
      plugins.map(({ dir }) => dir),
    );
  const heard = async (node: TestNode) => (await node.call<{ heard: Heard[] }>('GET', '/x/listener')).body.heard;
  const heardOf = async (node: TestNode, granted: number) =>
    (await heard(node)).filter((one) => one.granted === granted).length;
  /** Leaves the plugin so many of its permissions on a node that is killed before it could tell the other. */
  const changeAndDie = async (node: TestNode, permissions: object) => {
    nodes.redis.cut();
    await expect.poll(async () => (await node.ready()).body.status).toBe('degraded');
    expect((await node.call('PUT', '/api/v1/plugins/changed/permissions', permissions)).status).toBe(200);
    node.kernel.process.kill('SIGKILL');
    nodes.redis.restore();
  };

  it('the others hear from one that finds it, and itself when it is back', async () => {
    await changeAndDie(a, { storage: true, jobs: true });
    expect(await heardOf(b, 2)).toBe(0);
    await expect.poll(() => heardOf(b, 2), { timeout: 60_000 }).toBe(1);
    a = await start('a');
    await expect.poll(() => heardOf(a, 2), { timeout: 30_000 }).toBe(1);
    expect(await heardOf(b, 2)).toBe(1);
  }, 150_000);

  it('it tells when it is back at once, itself, too', async () => {
    await changeAndDie(a, { storage: true });
    a = await start('a');
    for (const node of [a, b]) await expect.poll(() => heardOf(node, 1), { timeout: 60_000 }).toBe(1);
    // What it does now it hears of once.
    expect((await a.call('PUT', '/api/v1/plugins/changed/permissions', {})).status).toBe(200);
    for (const node of [a, b]) await expect.poll(() => heardOf(node, 0)).toBe(1);
    expect((await b.call('DELETE', '/api/v1/plugins/changed/permissions')).status).toBe(200);
    for (const node of [a, b]) await expect.poll(() => heardOf(node, 3)).toBe(1);
    for (const node of [a, b]) {
      const ids = (await heard(node)).map(({ id }) => id);
      expect(new Set(ids).size).toBe(ids.length);
    }
  }, 150_000);
});
