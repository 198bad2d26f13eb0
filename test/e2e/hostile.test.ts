import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { HOSTILE } from '../support/hostile.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';
import { descendants, isAlive } from '../support/processes.js';

const TIMEOUT_MS = 1_000;
const names = Object.keys(HOSTILE);

/** One hostile plugin with a route per snippet, and an innocent one. */
const evil = () =>
  writePlugin(
    'evil',
    pluginSource(names.map((name, at) => `http.get('/${at}', async () => { ${HOSTILE[name]} });`).join('\n')),
    {
      limits: { memoryMb: 32, timeoutMs: TIMEOUT_MS },
      permissions: { net: ['http://127.0.0.1:1'], events: { publish: ['evil.*'], subscribe: ['evil.*'] } },
    },
  );

describe('hostile plugins', () => {
  let kernel: TestKernel;
  let plugins: PluginOnDisk[];

  beforeAll(async () => {
    plugins = [evil(), writePlugin('victim', pluginSource("http.get('/', () => ({ ok: true }));"))];
    const env = {
      ATOLL_SANDBOX__MAX_CRASHES: '1000',
      ATOLL_SANDBOX__BACKOFF_MS: '1',
      ATOLL_SANDBOX__BACKOFF_MAX_MS: '10',
      ATOLL_PLUGINS__DISABLED: '["hello","llm-router","provider-builtin","provider-ollama","provider-openai"]',
    };
    kernel = await startTestKernel({ pluginPath: plugins.map(({ dir }) => dir), env });
  });

  afterAll(async () => {
    const cells = descendants(kernel.process.pid!);
    expect(await kernel.stop()).toBe(0);
    await vi.waitFor(() => expect(cells.filter(isAlive)).toEqual([]), { timeout: 5_000 });
    for (const plugin of plugins) plugin.remove();
  });

  /** Calls the victim over and over until told to stop; every answer has to be right. */
  function watchVictim() {
    let stopped = false;
    const failures: string[] = [];
    let answers = 0;
    const done = (async () => {
      while (!stopped) {
        const response = await kernel.call('/x/victim');
        const text = await response.text();
        if (response.status === 200 && text === '{"ok":true}') answers++;
        else failures.push(`${response.status} ${text}`);
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    return {
      finish: async () => {
        stopped = true;
        await done;
        return { failures, answers };
      },
    };
  }

  it.each(names.map((name, at) => ({ name, at })))('$name ends as its own failed call', async ({ at }) => {
    const victim = watchVictim();
    const response = await fetch(`${kernel.url}/x/evil/${at}`, {
      headers: { authorization: `Bearer ${kernel.key}` },
      // Deadline plus two seconds, and something for a machine that is busy with other tests.
      signal: AbortSignal.timeout(TIMEOUT_MS + 2_000 + 4_000),
    });
    const body = response.body?.getReader();
    const first = await body?.read();
    await body?.cancel();
    if (response.status !== 200) {
      const problem = JSON.parse(Buffer.from(first!.value!).toString()) as { code: string; status: number };
      expect(problem.status).toBe(response.status);
      expect(problem.code).toMatch(/^(PLUGIN_|NET_|TOO_MANY|OVERLOADED|PROTOCOL_)/);
    }
    const { failures, answers } = await victim.finish();
    expect(failures).toEqual([]);
    expect(answers).toBeGreaterThan(0);
    expect(kernel.process.exitCode).toBeNull();
  });

  it('leaves both plugins usable', async () => {
    expect((await kernel.call('/x/victim')).status).toBe(200);
    await expect
      .poll(async () => ((await (await kernel.call('/api/v1/plugins/evil')).json()) as { state: string }).state, {
        timeout: 10_000,
      })
      .toBe('active');
  });
});
