import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { BROKEN, type BrokenVersion } from '../support/broken.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';
import { cellsOf } from '../support/processes.js';

const GOOD = pluginSource(`
  let count = 0;
  lifecycle.onHandoff({ version: 1, give: () => count, receive: ({ state }) => { count = state; } });
  http.get('/', () => ({ count: ++count }));
`);
const MANIFEST = { limits: { memoryMb: 32, timeoutMs: 2_000 } };

let kernel: TestKernel;
let plugin: PluginOnDisk;
let neighbour: PluginOnDisk;
let good: { packageJson: Record<string, unknown> };

beforeAll(async () => {
  plugin = writePlugin('steady', GOOD, MANIFEST);
  neighbour = writePlugin('neighbour', pluginSource("http.get('/', () => ({ fine: true }));"));
  good = {
    packageJson: {
      name: 'steady',
      version: '1.0.0',
      type: 'module',
      atoll: { id: 'steady', mounts: ['/x/steady'], ...MANIFEST },
    },
  };
  kernel = await startTestKernel({
    pluginPath: [plugin.dir, neighbour.dir],
    env: { ATOLL_SANDBOX__START_TIMEOUT_MS: '1500', ATOLL_LOG__LEVEL: 'silent' },
  });
}, 60_000);

afterAll(async () => {
  expect(await kernel?.stop()).toBe(0);
  plugin?.remove();
  neighbour?.remove();
});

const show = async () => {
  const shown = (await (await kernel.call('/api/v1/plugins/steady')).json()) as Record<string, unknown>;
  return { state: shown.state, version: shown.version, effects: shown.effects, restarts: shown.restarts };
};

function write({ setup, source, atoll, packageJson }: BrokenVersion): void {
  plugin.write(source ?? (setup === undefined ? GOOD : pluginSource(setup)));
  const all = { ...good.packageJson, ...(typeof packageJson === 'object' && packageJson) };
  const text = JSON.stringify({ ...all, atoll: { ...(all.atoll as object), ...atoll } });
  writeFileSync(path.join(plugin.dir, 'package.json'), typeof packageJson === 'string' ? packageJson : text);
}

/** Asks both plugins all the time; every answer has to be a good one, and the count has to go on by one each time. */
function callers() {
  let stopped = false;
  const wrong: string[] = [];
  let asked = 0;
  const loop = async () => {
    let last: number | undefined;
    while (!stopped) {
      const answers = await Promise.all([kernel.call('/x/steady'), kernel.call('/x/neighbour')]);
      const [own, other] = await Promise.all(answers.map((answer) => answer.text()));
      const { count } = JSON.parse(own!) as { count?: number };
      if (count === undefined || (last !== undefined && count !== last + 1) || other !== '{"fine":true}')
        wrong.push(`after ${last}: ${own} ${other}`);
      last = count;
      asked++;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };
  const looping = loop();
  return async () => {
    stopped = true;
    await looping;
    return { wrong, asked };
  };
}

it(`${Object.keys(BROKEN).length} kinds of broken versions change nothing for callers`, async () => {
  const before = await show();
  expect(before).toMatchObject({ state: 'active', version: '1.0.0' });
  const stop = callers();
  for (const [name, version] of Object.entries(BROKEN)) {
    write(version);
    const refused = await kernel.call('/api/v1/plugins/steady/reload', { method: 'POST' });
    const problem = (await refused.json()) as { code?: string; detail?: string };
    expect.soft(refused.status, `${name}: ${JSON.stringify(problem)}`).toBeGreaterThanOrEqual(400);
    expect.soft(problem.code, name).toMatch(/^[A-Z_]+$/);
    expect.soft(problem.code, `${name}: ${problem.detail}`).not.toBe('INTERNAL');
    expect.soft(problem.detail?.length, name).toBeGreaterThan(10);
    expect.soft(await show(), name).toEqual(before);
  }
  const { wrong, asked } = await stop();
  expect(wrong).toEqual([]);
  expect(asked).toBeGreaterThan(Object.keys(BROKEN).length);
  // Nothing of them is left, and the next good version is taken.
  write({});
  expect((await kernel.call('/api/v1/plugins/steady/reload', { method: 'POST' })).status).toBe(200);
  await expect.poll(() => cellsOf(kernel.process.pid!).length, { timeout: 15_000 }).toBeLessThanOrEqual(4);
}, 180_000);
