import { availableParallelism, cpus } from 'node:os';
import { benchCycles } from './cycles.js';
import { benchHttp } from './http.js';
import { benchMemory } from './memory.js';
import { renderTable, type Row } from './report.js';
import { benchBoot, benchStart } from './start.js';
import { benchStorage } from './storage.js';
import { benchStreaming } from './streaming.js';
import { benchSwap } from './swap.js';

/* `npm run bench`: medians and their ratios to baselines of the same run, as a Markdown table on stdout. `npm run bench http` runs one part. */

const PARTS: Record<string, () => Promise<Row[]>> = {
  http: benchHttp,
  streaming: benchStreaming,
  start: benchStart,
  swap: benchSwap,
  boot: benchBoot,
  memory: benchMemory,
  cycles: benchCycles,
  storage: benchStorage,
};

async function main(wanted: readonly string[]): Promise<void> {
  const unknown = wanted.filter((name) => !PARTS[name]);
  if (unknown.length > 0)
    throw new Error(`Unknown: ${unknown.join(', ')}. There are ${Object.keys(PARTS).join(', ')}.`);
  const began = performance.now();
  const rows: Row[] = [];
  for (const [name, run] of Object.entries(PARTS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    process.stderr.write(`${name} …\n`);
    rows.push(...(await run()));
  }
  const seconds = Math.round((performance.now() - began) / 1_000);
  process.stdout.write(
    `Node ${process.version}, ${availableParallelism()} × ${cpus()[0]?.model ?? 'CPU'}, ${seconds} s\n\n${renderTable(rows)}`,
  );
}

main(process.argv.slice(2)).catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exitCode = 1;
});
