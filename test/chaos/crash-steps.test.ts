import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { newKey, packSample } from '../support/packages.js';

/** Moments per operation at which the kernel dies; `all` for each there is. */
const MOMENTS = process.env.CHAOS_STEPS ?? '2';
const PRELOAD = fileURLToPath(new URL('../support/crash-steps.ts', import.meta.url));

const root = mkdtempSync(path.join(tmpdir(), 'atoll-crash-'));
let kernel: TestKernel;
/** Notes that were acknowledged. */
let notes = 0;

const start = async (crashAt = 0) => {
  kernel = await startTestKernel({
    env: {
      ATOLL_DATA_DIR: path.join(root, 'data'),
      ATOLL_LOG__LEVEL: 'error',
      NODE_OPTIONS: `--import ${PRELOAD}`,
      CRASH_AT: String(crashAt),
    },
  });
};

const send = async (method: string, target: string, body?: object) => {
  const init = body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  const response = await kernel.call(target, { method, ...init });
  const text = await response.text();
  return { status: response.status, body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown> };
};

const diary = (version: string) => `import { definePlugin, Type } from '@atoll/plugin-sdk';
export default definePlugin(({ http, storage, lifecycle, config }) => {
  const notes = storage.collection('notes', { schema: Type.Object({ text: Type.String() }) });
  let opened = 0;
  lifecycle.onHandoff({ version: 1, give: () => ({ opened }), receive: ({ state }) => { opened = state.opened; } });
  http.get('/', async () => ({ version: '${version}', tone: config.tone, notes: (await notes.find({ limit: 1000 })).items.length, opened: ++opened }));
  http.post('/', async () => notes.insert({ text: 'a note' }));
});`;

beforeAll(async () => {
  const key = newKey();
  await start();
  for (const version of ['1.0.0', '2.0.0']) {
    const atoll = {
      mounts: ['/x/diary'],
      permissions: { storage: true },
      config: { type: 'object', properties: { tone: { type: 'string', default: 'plain' } } },
    };
    const { bytes } = await packSample(
      root,
      { id: 'diary', version, atoll, files: { 'src/index.ts': diary(version) } },
      key,
    );
    const published = await kernel.call('/api/v1/marketplace/publish', { method: 'POST', body: new Uint8Array(bytes) });
    expect(published.status).toBe(201);
  }
});

afterAll(async () => {
  expect(await kernel.stop()).toBe(0);
  rmSync(root, { recursive: true, force: true });
});

interface Diary {
  version?: string;
  tone?: string;
}

/** What there is, as the API tells it and as the plugin itself does; they have to agree, and no note may be lost. */
async function look(): Promise<Diary> {
  const told = await send('GET', '/api/v1/plugins/diary');
  if (told.status === 404) {
    expect((await send('GET', '/x/diary')).status).toBe(404);
    return {};
  }
  expect(told.body, JSON.stringify(told.body)).toMatchObject({ state: 'active' });
  const said = await send('GET', '/x/diary');
  expect(said).toMatchObject({ status: 200, body: { version: told.body.version, notes } });
  return { version: String(said.body.version), tone: String(said.body.tone) };
}

async function write(): Promise<void> {
  expect((await send('POST', '/x/diary')).status).toBe(200);
  notes++;
}

const install = () => send('POST', '/api/v1/marketplace/diary/install', { version: '1.0.0', consent: true });
const upgrade = () => send('POST', '/api/v1/plugins/diary/upgrade', { consent: true });
const rollback = () => send('POST', '/api/v1/plugins/diary/rollback', {});
const remove = () => send('DELETE', '/api/v1/plugins/diary');
const configure = (tone: string) => send('PUT', '/api/v1/plugins/diary/config', { tone });
const swap = () => send('POST', '/api/v1/plugins/diary/reload', {});

const canary = async () => {
  const spec = { header: { name: 'x-canary' }, rule: { promoteAfterMs: null } };
  await send('POST', '/api/v1/plugins/diary/upgrade', { consent: true, canary: spec });
  return send('POST', '/api/v1/plugins/diary/canary/promote', {});
};

interface Operation {
  name: string;
  /** What there is before, and after it was acknowledged. */
  before: Diary;
  after: Diary;
  run: () => Promise<{ status: number }>;
}

const OPERATIONS: Operation[] = [
  { name: 'install', before: {}, after: { version: '1.0.0', tone: 'plain' }, run: install },
  {
    name: 'upgrade',
    before: { version: '1.0.0', tone: 'plain' },
    after: { version: '2.0.0', tone: 'plain' },
    run: upgrade,
  },
  {
    name: 'canary and promotion',
    before: { version: '1.0.0', tone: 'plain' },
    after: { version: '2.0.0', tone: 'plain' },
    run: canary,
  },
  {
    name: 'rollback',
    before: { version: '2.0.0', tone: 'plain' },
    after: { version: '1.0.0', tone: 'plain' },
    run: rollback,
  },
  { name: 'swap', before: { version: '1.0.0', tone: 'plain' }, after: { version: '1.0.0', tone: 'plain' }, run: swap },
  {
    name: 'configure',
    before: { version: '1.0.0', tone: 'plain' },
    after: { version: '1.0.0', tone: 'warm' },
    run: () => configure('warm'),
  },
  { name: 'remove', before: { version: '1.0.0', tone: 'plain' }, after: {}, run: remove },
];

/** Brings about what there has to be before an operation. */
async function prepare({ version, tone }: Diary): Promise<void> {
  let now = await look();
  const done = async (result: Promise<{ status: number; body: object }>) => {
    const { status, body } = await result;
    expect(status, JSON.stringify(body)).toBe(200);
  };
  if (version === undefined) return now.version === undefined ? undefined : done(remove());
  if (now.version === undefined) await done(install());
  now = await look();
  if (now.version !== version) await done(version === '2.0.0' ? upgrade() : rollback());
  if (now.tone !== tone) await done(configure(tone!));
  await write();
  expect(await look()).toEqual({ version, tone });
}

const arm = async () => {
  kernel.process.kill('SIGUSR2');
  // The signal is taken in a turn of its own, before the next request's.
  await send('GET', '/health/live');
};

/** How many steps the operation takes when nothing happens. */
async function stepsOf(operation: Operation): Promise<number> {
  await prepare(operation.before);
  await arm();
  expect((await operation.run()).status).toBe(200);
  kernel.process.kill('SIGUSR2');
  let counted: RegExpExecArray | null = null;
  await expect
    .poll(() => {
      counted = /steps: (\d+)/.exec(kernel.output());
      return counted;
    })
    .not.toBeNull();
  expect(await kernel.stop()).toBe(0);
  return Number(counted![1]);
}

/** Runs the operation in a kernel that dies in the middle of it. True when it had been acknowledged before. */
async function crash(operation: Operation): Promise<boolean> {
  await prepare(operation.before);
  const acknowledged = await arm()
    .then(operation.run)
    .then(
      ({ status }) => status === 200,
      () => false,
    );
  // It may take fewer steps than the one that was counted.
  kernel.process.kill('SIGKILL');
  const { process: child } = kernel;
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return acknowledged;
}

it.for(OPERATIONS)(
  'a kernel that dies in the middle of $name comes back with one version, and all data',
  { timeout: 3_600_000 },
  async (operation) => {
    const steps = await stepsOf(operation);
    const wanted = MOMENTS === 'all' ? steps : Number(MOMENTS);
    const moment = (n: number) => (n > wanted ? 0 : Math.ceil((n * steps) / wanted));
    const seen = { before: 0, after: 0 };
    await start(moment(1));
    for (let n = 1; n <= wanted; n++) {
      const acknowledged = await crash(operation);
      await start(moment(n + 1));
      const found = await look();
      const which = isDeepStrictEqual(found, operation.after) ? 'after' : 'before';
      expect(found, `${operation.name}, step ${moment(n)} of ${steps}`).toEqual(operation[which]);
      if (acknowledged) expect(found).toEqual(operation.after);
      seen[which]++;
    }
    process.stdout.write(
      `${operation.name}: ${wanted} of ${steps} moments, ${seen.before} times as before, ${seen.after} times done\n`,
    );
  },
);
