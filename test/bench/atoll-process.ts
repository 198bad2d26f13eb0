import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { pluginSource, writePlugin } from '../support/plugin-folder.js';

export interface BenchPlugin {
  id: string;
  setup: string;
  manifest?: Record<string, unknown>;
}

export interface Atoll extends AsyncDisposable {
  kernel: TestKernel;
}

/** A real Atoll with these plugins; those that come with it are off, unless they are wanted. */
export async function startAtoll(plugins: readonly BenchPlugin[], { shipped = false } = {}): Promise<Atoll> {
  const written = plugins.map(({ id, setup, manifest }) => writePlugin(id, pluginSource(setup), manifest));
  const disabled = shipped ? [] : shippedPlugins();
  const env = { ATOLL_PLUGINS__DISABLED: JSON.stringify(disabled), ATOLL_LOG__LEVEL: 'error' };
  const kernel = await startTestKernel({ pluginPath: written.map(({ dir }) => dir), env });
  const dispose = async () => {
    await kernel.stop();
    for (const plugin of written) plugin.remove();
  };
  try {
    await allActive(kernel, plugins);
  } catch (error) {
    await dispose();
    throw error;
  }
  return { kernel, [Symbol.asyncDispose]: dispose };
}

function shippedPlugins(): string[] {
  const entries = readdirSync(fileURLToPath(new URL('../../plugins', import.meta.url)), { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory() && entry.name !== 'node_modules').map(({ name }) => name);
}

/** Numbers of plugins that are not running would be worth nothing. */
async function allActive(kernel: TestKernel, plugins: readonly BenchPlugin[]): Promise<void> {
  const wanted = new Set(plugins.map(({ id }) => id));
  for (let cursor: string | undefined; wanted.size > 0; ) {
    const response = await kernel.call(`/api/v1/plugins?limit=200${cursor ? `&cursor=${cursor}` : ''}`);
    const page = (await response.json()) as { items: { id: string; state: string }[]; nextCursor?: string };
    for (const { id, state } of page.items) if (state === 'active') wanted.delete(id);
    cursor = page.nextCursor;
    if (!cursor) break;
  }
  if (wanted.size > 0) throw new Error(`Not active: ${[...wanted].join(', ')}\n${kernel.output()}`);
}
