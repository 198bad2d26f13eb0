import { afterAll, beforeAll, expect, it } from 'vitest';
import { HOSTILE } from '../support/hostile.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';
import { descendants } from '../support/processes.js';

/** How long the storm lasts. CI runs the short one. */
const SECONDS = Number(process.env.CHAOS_SECONDS ?? 15);
const attacks = Object.values(HOSTILE);

let kernel: TestKernel;
let plugins: PluginOnDisk[];

beforeAll(async () => {
  const evil = attacks.map((code, at) => `http.get('/${at}', async () => { ${code} });`).join('\n');
  plugins = [
    writePlugin('evil', pluginSource(evil), {
      limits: { memoryMb: 32, timeoutMs: 500 },
      permissions: { net: ['http://127.0.0.1:1'] },
    }),
    writePlugin('steady', pluginSource("http.get('/', ({ query }) => ({ echo: query.n }));")),
    writePlugin('swapped', pluginSource("http.get('/', () => ({ ok: true }));")),
  ];
  const env = {
    ATOLL_SANDBOX__MAX_CRASHES: '100000',
    ATOLL_SANDBOX__BACKOFF_MS: '1',
    ATOLL_SANDBOX__BACKOFF_MAX_MS: '20',
    ATOLL_LOG__LEVEL: 'silent',
  };
  kernel = await startTestKernel({ pluginPath: plugins.map(({ dir }) => dir), env });
});

afterAll(async () => {
  expect(await kernel.stop()).toBe(0);
  for (const plugin of plugins) plugin.remove();
});

/** Runs the task over and over until the storm is over. */
async function storm(task: (round: number) => Promise<void>): Promise<number> {
  const until = Date.now() + SECONDS * 1_000;
  let round = 0;
  while (Date.now() < until) await task(round++);
  return round;
}

it('serves steadily while one plugin attacks, another is swapped, and the attacker’s cells are killed', async () => {
  const steady = storm(async (n) => {
    const response = await kernel.call(`/x/steady?n=${n}`);
    expect(await response.json()).toEqual({ echo: String(n) });
  });
  const attack = storm(async () => {
    const at = Math.floor(Math.random() * attacks.length);
    const response = await kernel.call(`/x/evil/${at}`, { signal: AbortSignal.timeout(10_000) });
    await response.body?.cancel();
  });
  const swap = storm(async () => {
    const reloaded = await kernel.call('/api/v1/plugins/swapped/reload', { method: 'POST' });
    expect(reloaded.status).toBe(200);
  });
  const use = storm(async () => {
    const response = await kernel.call('/x/swapped');
    expect(await response.json()).toEqual({ ok: true });
  });
  const kill = storm(async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const { resources } = (await (await kernel.call('/api/v1/plugins/evil')).json()) as {
      resources?: { cellPid?: number };
    };
    const pid = resources?.cellPid;
    if (pid && descendants(kernel.process.pid!).includes(pid)) process.kill(pid, 'SIGKILL');
  });
  const rounds = await Promise.all([steady, attack, swap, use, kill]);
  process.stdout.write(
    `chaos: ${rounds[0]} steady calls, ${rounds[1]} attacks, ${rounds[2]} swaps, ${rounds[3]} calls during swaps, ${rounds[4]} kills\n`,
  );
  for (const count of rounds) expect(count).toBeGreaterThan(0);
});
