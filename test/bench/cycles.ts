import { readdirSync, readlinkSync } from 'node:fs';
import { cellsOf, proportionalSize } from '../support/processes.js';
import { type Atoll, startAtoll } from './atoll-process.js';
import { megabytes, type Row } from './report.js';

const CYCLES = 300;
/** What runs for the first time fills caches that stay. */
const WARM_UP = 20;
/** By then an idle kernel has given back what it does not need: see kernel/src/idle-collector.ts. */
const SETTLE_MS = 45_000;
/** What the memory of all processes may differ by: an idle one goes up and down by as much. */
const TOLERANCE = 0.1;

/** One of each kind of effect. */
const EVERYTHING = {
  id: 'everything',
  setup: `
    http.get('/', () => ({ ok: true }));
    ws.channel('room', Type.Object({ text: Type.String() }), async function* () { yield { text: 'hello' }; });
    events.on('plugin.**', () => {});
    storage.collection('notes', { schema: Type.Object({ text: Type.String() }), indexes: { text: 'equality' } });
    jobs.define('later', { input: Type.Object({}) }, () => {});
    schedule.cron('nightly', '0 3 * * *', () => {});
    setInterval(() => {}, 60_000);
    lifecycle.onStop(() => {});`,
  manifest: { permissions: { events: { subscribe: ['plugin.**'] }, storage: true, jobs: true, schedule: true } },
};

interface State {
  /** Bytes: memory of the kernel with its cells, and what the kernel's own heap holds. */
  all: number;
  heap: number;
  /** Open files and sockets of all processes but for the database's files, of which it keeps as many open as it likes; and the cells. */
  handles: number;
  cells: number;
  effects: number;
}

/** All plugins are disabled and enabled, over and over: what is left of it, in the kernel and in its cells. */
export async function benchCycles(): Promise<Row[]> {
  await using atoll = await startAtoll([EVERYTHING], { shipped: true });
  const ids = (await pluginsOf(atoll)).map(({ id }) => id);
  for (let n = 0; n < WARM_UP; n++) await cycle(atoll, ids);
  const before = await stateOf(atoll);
  for (let n = 0; n < CYCLES; n++) await cycle(atoll, ids);
  const after = await stateOf(atoll);
  await switchAll(atoll, ids, 'disable');
  const left = (await pluginsOf(atoll)).reduce((sum, { effects }) => sum + effects.length, 0);
  return [
    row('memory of all processes', before.all, after.all, megabytes, after.all <= before.all * (1 + TOLERANCE)),
    row('the kernel’s heap', before.heap, after.heap, megabytes, after.heap <= before.heap * (1 + TOLERANCE)),
    row(
      'open handles, without the database’s files',
      before.handles,
      after.handles,
      String,
      after.handles <= before.handles,
    ),
    row('cells', before.cells, after.cells, String, after.cells <= before.cells),
    row('effects', before.effects, after.effects, (n) => `${n}, ${left} when disabled`, left === 0),
  ];
}

function row(what: string, before: number, after: number, show: (value: number) => string, met: boolean): Row {
  return {
    what: `All plugins disabled and enabled ${CYCLES} times: ${what}`,
    result: show(after),
    baseline: `${what === 'effects' ? before : show(before)} before`,
    target: 'as before',
    met,
  };
}

async function cycle(atoll: Atoll, ids: readonly string[]): Promise<void> {
  await switchAll(atoll, ids, 'disable');
  await switchAll(atoll, ids, 'enable');
  const idle = (await pluginsOf(atoll)).filter(({ state }) => state !== 'active');
  if (idle.length > 0) throw new Error(`Not active: ${JSON.stringify(idle)}`);
}

async function switchAll({ kernel }: Atoll, ids: readonly string[], what: 'enable' | 'disable'): Promise<void> {
  for (const id of ids) {
    const response = await kernel.call(`/api/v1/plugins/${id}/${what}`, { method: 'POST' });
    if (!response.ok) throw new Error(`${what} ${id}: ${response.status} ${await response.text()}`);
  }
}

interface Plugin {
  id: string;
  state: string;
  effects: unknown[];
}

async function pluginsOf({ kernel }: Atoll): Promise<Plugin[]> {
  const list = (await (await kernel.call('/api/v1/plugins?limit=200')).json()) as { items: { id: string }[] };
  return Promise.all(
    list.items.map(async ({ id }) => (await (await kernel.call(`/api/v1/plugins/${id}`)).json()) as Plugin),
  );
}

async function stateOf(atoll: Atoll): Promise<State> {
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const kernel = atoll.kernel.process.pid!;
  const cells = cellsOf(kernel);
  const processes = [kernel, ...cells];
  // Before anything is asked: that takes connections.
  const all = sum(processes.map(proportionalSize));
  const handles = sum(processes.map(handlesOf));
  const metrics = await (await atoll.kernel.call('/metrics')).text();
  const heap = Number(/^atoll_nodejs_heap_size_used_bytes (\S+)/m.exec(metrics)?.[1]);
  const effects = sum((await pluginsOf(atoll)).map((plugin) => plugin.effects.length));
  return { all, heap, handles, cells: cells.length, effects };
}

const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);

function handlesOf(pid: number): number {
  const targets = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      // It was the one that listed them.
      return '/database/';
    }
  });
  return targets.filter((target) => !target.includes('/database/')).length;
}
