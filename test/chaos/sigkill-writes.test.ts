import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createTestDatabase, TEST_SERVER } from '../../kernel/src/database/testing.js';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { ledgerPlugins } from '../support/ledger-plugins.js';
import { MixedWrites, send } from '../support/mixed-writes.js';

/* A kernel that is killed again and again in the middle of writes of every kind, on the embedded database or on TEST_DATABASE_URL. */

const KILLS = Number(process.env.CHAOS_KILLS ?? 3);
/** The kill comes at a random moment of this time after the writes began. */
const LONGEST_MS = 2_000;

const root = mkdtempSync(path.join(tmpdir(), 'atoll-kills-'));
const plugins = ledgerPlugins();
const writes = new MixedWrites();
let server: Awaited<ReturnType<typeof createTestDatabase>> | undefined;
let kernel: TestKernel;
const restarts: number[] = [];

const start = async () => {
  kernel = await startTestKernel({
    pluginPath: [plugins.ledger.dir, plugins.switched.dir],
    env: {
      ATOLL_DATA_DIR: path.join(root, 'data'),
      ATOLL_LOG__LEVEL: 'error',
      ...(server && { DATABASE_URL: server.url }),
    },
  });
};

beforeAll(async () => {
  if (TEST_SERVER) server = await createTestDatabase(TEST_SERVER);
  await start();
}, 120_000);
afterAll(async () => {
  await kernel?.stop();
  await server?.drop();
  rmSync(root, { recursive: true, force: true });
  for (const plugin of Object.values(plugins)) plugin.remove();
});

const get = async <T>(target: string) => (await send(kernel, 'GET', target)).body as T;
const missing = <T>(wanted: Iterable<T>, found: Iterable<T>) => [...new Set(wanted).difference(new Set(found))];

async function killDuringWrites(): Promise<void> {
  const gone = new AbortController();
  const writing = writes.until(kernel, gone.signal);
  // A write that is answered with an error ends the test.
  const moment = new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_MS));
  // The first one comes when there is something of every kind to lose.
  const something = vi.waitUntil(() => writes.ofEveryKind, { timeout: 60_000, interval: 20 });
  await Promise.race([Promise.all([moment, something]), writing]);
  gone.abort();
  kernel.process.kill('SIGKILL');
  if (kernel.process.exitCode === null && kernel.process.signalCode === null) await once(kernel.process, 'exit');
  await writing;
}

async function documentsAreThere(): Promise<void> {
  const docs = await get<string[]>('/x/ledger/docs');
  expect(missing(writes.docs, docs)).toEqual([]);
  // Found by the index, too.
  expect(await get('/x/ledger/found?text=document')).toBe(Math.min(docs.length, 1_000));
  const pairs = await get<{ id: string; n: number }[]>('/x/ledger/pairs');
  const ids = new Set(pairs.map(({ id }) => id));
  const whole = pairs.filter(({ id, n }) => id === `${n}a`).map(({ n }) => n);
  expect(whole.filter((n) => !ids.has(`${n}b`))).toEqual([]);
  expect(missing(writes.pairs, whole)).toEqual([]);
  expect(pairs.find(({ id }) => id === 'total')?.n ?? 0).toBe(whole.length);
  expect((await send(kernel, 'POST', '/x/ledger/blobs/missing', { names: [...writes.blobs] })).body).toEqual([]);
}

async function switchesAreAsAcknowledged(): Promise<void> {
  const { state } = await get<{ state: string }>('/api/v1/plugins/switched');
  expect(['active', 'stopped', 'installed']).toContain(state);
  const enabled = state === 'active';
  expect(writes.enabled.possible).toContain(enabled);
  const { values } = await get<{ values: { tone: number } }>('/api/v1/plugins/switched/config');
  expect(writes.tone.possible).toContain(values.tone);
  if (enabled) expect(await get('/x/switched')).toEqual({ tone: values.tone });
  writes.enabled.done(enabled);
  writes.tone.done(values.tone);
}

async function keysAndTrailAreThere(): Promise<void> {
  const statusOf = async (key: string) =>
    (await kernel.call('/api/v1/auth/me', { headers: { authorization: `Bearer ${key}` } })).status;
  for (const [id, key] of writes.keys) {
    if (!writes.doubtful.has(id)) expect([id, await statusOf(key)]).toEqual([id, 200]);
  }
  for (const [id, key] of writes.revoked) expect([id, await statusOf(key)]).toEqual([id, 401]);
  expect(await get('/api/v1/audit/verify')).toMatchObject({ intact: true, problems: [] });
  const text = await (await kernel.call('/api/v1/audit/export?outcome=done')).text();
  const entries = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { action: string; target?: string });
  const about = (action: string) => entries.filter((entry) => entry.action === action).map(({ target }) => target);
  const made = [...writes.keys.keys(), ...writes.revoked.keys()];
  expect(
    missing(
      made.map((id) => `key:${id}`),
      about('api-keys.create'),
    ),
  ).toEqual([]);
  expect(
    missing(
      [...writes.revoked.keys()].map((id) => `key:${id}`),
      about('api-keys.revoke'),
    ),
  ).toEqual([]);
  for (const [action, times] of Object.entries(writes.switches))
    expect([action, about(action).length]).toEqual([action, expect.toSatisfy((found: number) => found >= times)]);
}

async function jobsAreThere(): Promise<Map<string, string>> {
  const states = new Map<string, string>();
  let cursor = '';
  do {
    const page = await get<{ items: { id: string; state: string }[]; nextCursor?: string }>(
      `/api/v1/jobs?plugin=ledger&limit=200${cursor && `&cursor=${cursor}`}`,
    );
    for (const { id, state } of page.items) states.set(id, state);
    cursor = page.nextCursor ?? '';
  } while (cursor !== '');
  expect(missing(writes.jobs, states.keys())).toEqual([]);
  expect([...states].filter(([, state]) => state === 'failed' || state === 'cancelled')).toEqual([]);
  return states;
}

/** Runs of one job follow each other, each with a higher token. */
async function noneRanTwiceAtOnce(): Promise<{ runs: number; interrupted: number }> {
  const book = await get<{ id: string; job: string; token: number; what: string }[]>('/x/ledger/book');
  expect(book.filter(({ what }) => what.startsWith('violation'))).toEqual([]);
  const last = new Map<string, { token: number; open: boolean }>();
  let interrupted = 0;
  // Ids are in the order of insertion.
  for (const { job, token, what } of book) {
    const before = last.get(job);
    if (what === 'begin') {
      expect(before?.token ?? 0).toBeLessThan(token);
      if (before?.open) interrupted++;
      last.set(job, { token, open: true });
    } else {
      expect(before).toEqual({ token, open: true });
      last.set(job, { token, open: false });
    }
  }
  expect(missing(writes.jobs, last.keys())).toEqual([]);
  return { runs: book.filter(({ what }) => what === 'begin').length, interrupted };
}

it('loses nothing that it has acknowledged, and does no job twice at once', { timeout: 3_600_000 }, async () => {
  for (let kill = 1; kill <= KILLS; kill++) {
    await killDuringWrites();
    const before = performance.now();
    await start();
    restarts.push(performance.now() - before);
    await documentsAreThere();
    await switchesAreAsAcknowledged();
    await keysAndTrailAreThere();
    await jobsAreThere();
  }
  // Also those that were cut off, when their leases are over.
  await vi.waitFor(
    async () => expect([...(await jobsAreThere())].filter(([, state]) => state !== 'completed')).toEqual([]),
    { timeout: 120_000, interval: 500 },
  );
  const { runs, interrupted } = await noneRanTwiceAtOnce();
  const { docs, pairs, blobs, jobs, keys, revoked } = writes;
  const switches = Object.values(writes.switches).reduce((sum, times) => sum + times, 0);
  const slowest = Math.round(Math.max(...restarts));
  process.stdout.write(
    `${server ? 'PostgreSQL' : 'PGlite'}: ${KILLS} kills, ${writes.acknowledged} acknowledged writes: ${docs.size} documents, ` +
      `${pairs.size} transactions, ${blobs.size} blobs, ${jobs.size} jobs (${runs} runs, ${interrupted} cut off), ` +
      `${keys.size + revoked.size} keys, ${switches} switches; slowest restart ${slowest} ms\n`,
  );
});
