import { copyFileSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { startTestKernel } from './kernel.js';
import { type PluginOnDisk, writePlugin } from './plugin-folder.js';
import { cellsOf } from './processes.js';

/** A case file of a folder as a plugin: the host asks for its cases, and runs one per request. */
const RUNNER = `import { definePlugin, Type } from '@atoll/plugin-sdk';
import './suite/suite.js';
import { caseNames, runCase } from './harness.js';
export default definePlugin(({ http }) => {
  http.get('/', () => caseNames());
  http.post('/', { body: Type.Object({ name: Type.String() }) }, async ({ body }) => ({ failure: await runCase(body.name) }));
});
`;

const FIRST_PARTY = '["hello","llm-router","provider-builtin","provider-ollama","provider-openai"]';

export interface GuestSuite {
  name: string;
  cases: string[];
  /** The failure of a case as text, or null. */
  run(name: string): Promise<string | null>;
}

export interface GuestSuites {
  suites: GuestSuite[];
  /** Process ids below the kernel's. */
  cells(): number[];
  /** Ends the kernel; resolves to its exit code. */
  close(): Promise<number | null>;
}

/** Loads each `<name>.cases.ts` of the folder into an isolate of its own, of a real kernel. */
export async function startGuestSuites(
  folder: string,
  names: string[],
  manifest: Record<string, unknown> = {},
): Promise<GuestSuites> {
  const limits = { memoryMb: 128, timeoutMs: 20_000 };
  const plugins = names.map((name) => suitePlugin(folder, name, { limits, ...manifest }));
  const kernel = await startTestKernel({
    pluginPath: plugins.map(({ dir }) => dir),
    env: {
      ATOLL_SANDBOX__GROUPING: 'shared',
      ATOLL_SANDBOX__SPARES: '0',
      ATOLL_PLUGINS__DISABLED: FIRST_PARTY,
    },
  });
  const call = async <T>(name: string, init?: RequestInit): Promise<T> => {
    const response = await kernel.call(`/x/${name}`, init);
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${name}: ${response.status} ${text}\n${kernel.output()}`);
    return JSON.parse(text) as T;
  };
  const close = async () => {
    const code = await kernel.stop();
    for (const plugin of plugins) plugin.remove();
    return code;
  };
  const runner = (suite: string) => async (name: string) => {
    const headers = { 'content-type': 'application/json' };
    const init = { method: 'POST', headers, body: JSON.stringify({ name }) };
    return (await call<{ failure: string | null }>(suite, init)).failure;
  };
  try {
    const suites = names.map(async (name) => ({ name, cases: await call<string[]>(name), run: runner(name) }));
    return { suites: await Promise.all(suites), close, cells: () => cellsOf(kernel.process.pid!) };
  } catch (error) {
    await close();
    throw error;
  }
}

const HARNESS = fileURLToPath(new URL('../conformance/harness.ts', import.meta.url));

function suitePlugin(folder: string, name: string, manifest: Record<string, unknown>): PluginOnDisk {
  const plugin = writePlugin(name, RUNNER, manifest);
  mkdirSync(path.join(plugin.dir, 'src/suite'));
  copyFileSync(path.join(folder, `${name}.cases.ts`), path.join(plugin.dir, 'src/suite/suite.ts'));
  copyFileSync(HARNESS, path.join(plugin.dir, 'src/harness.ts'));
  return plugin;
}
