import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { AtollError, ERRORS } from '@atoll/plugin-sdk/contract';
import { renderBootTree } from './boot-tree.js';
import { collectGarbage } from './collect-garbage.js';
import { loadConfig } from './config/index.js';
import { startDevReload } from './dev-reload.js';
import { collectWhenIdle } from './idle-collector.js';
import { Kernel } from './kernel.js';
import { keepCodeWarm } from './warm-code.js';

/* The kernel process: reads the configuration, boots, and ends on SIGINT or SIGTERM. */

const root = fileURLToPath(new URL('../../', import.meta.url));

async function main(): Promise<void> {
  const began = performance.now();
  const { config } = await loadConfig({ configDir: path.join(root, 'config'), env: process.env });
  if (!path.isAbsolute(config.server.dataDir)) config.server.dataDir = path.resolve(config.server.dataDir);
  const kernel = new Kernel({ config, pluginsDir: path.join(root, 'plugins') });
  let stopDev = async () => {};
  let stopping: Promise<void> | undefined;
  const stop = () => {
    // A second signal changes nothing: the launcher and the terminal may both send one.
    if (stopping !== undefined) return;
    stopping = stopDev()
      .then(() => kernel.stop())
      .then(
        () => process.exit(0),
        (error) => fail(error),
      );
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  process.on('SIGHUP', stop);
  try {
    const report = await kernel.start();
    collectGarbage();
    keepCodeWarm();
    collectWhenIdle();
    process.stdout.write(renderBootTree(report, Math.round(performance.now() - began)));
    if (process.env.ATOLL_DEV === '1') stopDev = await startDevReload(kernel.container);
  } catch (error) {
    // Asked to end while it was starting: that it could not go on is no news.
    if (stopping !== undefined) return;
    await kernel.stop().catch(() => {});
    throw error;
  }
}

function fail(error: unknown): never {
  const text =
    error instanceof AtollError
      ? `${error.message}\n${ERRORS[error.code].hint} (${error.code})`
      : error instanceof Error
        ? error.stack
        : String(error);
  process.stderr.write(`Atoll could not go on: ${text}\n`);
  process.exit(1);
}

main().catch(fail);
