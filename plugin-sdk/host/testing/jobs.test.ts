import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { pluginSource, writePlugin, type PluginOnDisk } from '../../../test/support/plugin-folder.js';
import { type TestedPlugin, testPlugin } from './index.js';

const SETUP = `
  const ran = [];
  let cancelled = 0;
  const told = async (run) => { try { return { value: (await run()) ?? null }; } catch (error) { return { code: error.code, errors: error.extras?.errors }; } };
  const double = jobs.define('double', { input: Type.Object({ n: Type.Integer(), by: Type.Integer({ default: 2 }) }) }, async ({ data, attempt }) => ({ doubled: data.n * data.by, attempt }));
  jobs.define('flaky', { retries: 2 }, ({ data, attempt }) => { if (attempt <= data.failures) throw new Error('not yet'); return attempt; });
  jobs.define('listed', ({ data }) => { ran.push(data); });
  jobs.define('keyed', { concurrency: 4 }, async ({ data }) => { ran.push('+' + data); await new Promise((r) => setTimeout(r, 60)); ran.push('-' + data); });
  jobs.define('long', { timeoutMs: 60000 }, ({ signal, progress }) => new Promise((resolve, reject) => {
    progress(0.25);
    signal.addEventListener('abort', () => { cancelled++; reject(signal.reason); });
  }));
  jobs.define('slow', { timeoutMs: 50, retries: 0 }, () => new Promise(() => {}));
  http.post('/double', ({ body }) => told(() => double.send(body)));
  http.post('/send', ({ body }) => told(() => jobs.send(body.name, body.data, body.options)));
  http.get('/ran', () => ({ ran: ran.splice(0), cancelled }));
`;

interface Job {
  id: string;
  state: string;
  attempts: number;
  priority: string;
  progress?: number;
  estimatedEnd?: string;
  result?: unknown;
  data?: unknown;
  error?: { code: string; message: string };
}
interface Page {
  items: Job[];
  nextCursor?: string;
}

describe('jobs of a plugin', () => {
  let folder: PluginOnDisk;
  let plugin: TestedPlugin;
  beforeAll(async () => {
    folder = writePlugin('works', pluginSource(SETUP), { permissions: { jobs: true } });
    plugin = await testPlugin(folder.dir);
  });
  afterAll(async () => {
    await plugin?.close();
    folder.remove();
  });

  const call = async <T>(method: string, path: string, json?: unknown) =>
    (await plugin.request(method, path, json === undefined ? {} : { json })).json() as T;
  const send = async (name: string, data: unknown = null, options: object = {}) =>
    (await call<{ value: string }>('POST', '/x/works/send', { name, data, options })).value;
  const job = (id: string) => call<Job>('GET', `/api/v1/jobs/${id}`);
  const reaches = (id: string, state: string) =>
    vi.waitFor(async () => {
      const found = await job(id);
      expect(found.state).toBe(state);
      return found;
    }, 15_000);

  it('runs a job and keeps its result', async () => {
    const { value: id } = await call<{ value: string }>('POST', '/x/works/double', { n: 21 });
    const done = await reaches(id, 'completed');
    expect(done).toMatchObject({
      plugin: 'works',
      name: 'double',
      data: { n: 21, by: 2 },
      result: { doubled: 42, attempt: 1 },
      attempts: 1,
      priority: 'NORMAL',
    });
    expect(plugin.events.filter(({ data }) => (data as { id?: string }).id === id).map(({ type }) => type)).toEqual([
      'job.queued',
      'job.started',
      'job.completed',
    ]);
  });

  it('refuses what does not match, and what nobody defines', async () => {
    expect(await call('POST', '/x/works/double', { n: 'x' })).toMatchObject({
      code: 'VALIDATION_FAILED',
      errors: [{ pointer: '/n' }],
    });
    expect(await call('POST', '/x/works/send', { name: 'nobody' })).toMatchObject({ code: 'NOT_FOUND' });
    const huge = 'x'.repeat(1_048_576);
    expect((await plugin.request('GET', '/api/v1/jobs/none')).status).toBe(404);
    expect((await plugin.request('GET', '/api/v1/jobs?cursor=bm9uZQ')).status).toBe(422);
    expect((await plugin.request('GET', '/api/v1/jobs?state=odd')).status).toBe(422);
    expect(
      await call('POST', '/x/works/send', { name: 'listed', data: huge.slice(30) + huge.slice(-29) }),
    ).toMatchObject({ code: 'BODY_TOO_LARGE' });
  });

  it('tries again what failed, and gives up in the end', async () => {
    const fine = await send('flaky', { failures: 1 });
    const bad = await send('flaky', { failures: 99 }, { retries: 0 });
    expect(await reaches(bad, 'failed')).toMatchObject({
      attempts: 1,
      error: { code: 'PLUGIN_ERROR', message: 'not yet' },
    });
    expect(await reaches(fine, 'completed')).toMatchObject({ attempts: 2, result: 2 });
  });

  it('does a failed job again on demand', async () => {
    const id = await send('flaky', { failures: 1 }, { retries: 0 });
    await reaches(id, 'failed');
    const failed = await call<Page>('GET', '/api/v1/jobs?state=failed&name=flaky&limit=1');
    expect(failed.items[0]!.id).toBe(id);
    await call('POST', `/api/v1/jobs/${id}/replay`, {});
    expect(await reaches(id, 'completed')).toMatchObject({ result: 2 });
    expect((await plugin.request('POST', `/api/v1/jobs/${id}/replay`, { json: {} })).status).toBe(409);
  });

  it('tells a running handler of its cancellation, and shows its progress', async () => {
    const id = await send('long');
    await vi.waitFor(async () => expect(await job(id)).toMatchObject({ progress: 0.25 }), 15_000);
    expect(Date.parse((await job(id)).estimatedEnd!)).toBeGreaterThan(Date.now());
    expect(await call('POST', `/api/v1/jobs/${id}/cancel`, {})).toMatchObject({ state: 'cancelled' });
    await vi.waitFor(async () => expect(await call('GET', '/x/works/ran')).toMatchObject({ cancelled: 1 }));
    expect(await job(id)).toMatchObject({ state: 'cancelled' });
    expect((await plugin.request('POST', `/api/v1/jobs/${id}/cancel`, { json: {} })).status).toBe(409);
  });

  it('ends a try that takes too long', async () => {
    expect(await reaches(await send('slow'), 'failed')).toMatchObject({ error: { code: 'PLUGIN_TIMEOUT' } });
  });

  it('takes the urgent first, and never two of one key', async () => {
    await call('GET', '/x/works/ran');
    // The first one may begin before the others are there.
    const ids = [await send('listed', 'LOW', { priority: 'LOW', delayMs: 1500 })];
    for (const priority of ['NORMAL', 'CRITICAL', 'HIGH', 'URGENT'])
      ids.push(await send('listed', priority, { priority, delayMs: 1500 }));
    expect(await job(ids[0]!)).toMatchObject({ state: 'delayed' });
    for (const id of ids) await reaches(id, 'completed');
    expect(await call('GET', '/x/works/ran')).toMatchObject({ ran: ['CRITICAL', 'URGENT', 'HIGH', 'NORMAL', 'LOW'] });
    const keyed = [];
    for (const n of [1, 2, 3]) keyed.push(await send('keyed', n, { key: 'one at a time' }));
    for (const id of keyed) await reaches(id, 'completed');
    const { ran } = await call<{ ran: string[] }>('GET', '/x/works/ran');
    expect(ran).toHaveLength(6);
    for (let at = 0; at < 6; at += 2) expect(ran[at + 1]).toBe(ran[at]!.replace('+', '-'));
  });

  it('lists in pages, the latest first', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await call<Page>('GET', `/api/v1/jobs?limit=3&plugin=works${cursor && `&cursor=${cursor}`}`);
      seen.push(...page.items.map(({ id }) => id));
      expect(page.items.every((item) => !('data' in item) && !('result' in item))).toBe(true);
      cursor = page.nextCursor ?? '';
    } while (cursor);
    expect(seen.length).toBeGreaterThan(10);
    expect(new Set(seen).size).toBe(seen.length);
    expect(await call('GET', '/api/v1/jobs?plugin=another')).toEqual({ items: [] });
  });
});

it('refuses plugins without the permission', async () => {
  const folder = writePlugin('idle', pluginSource(`jobs.define('any', () => {});`));
  await expect(testPlugin(folder.dir)).rejects.toThrow(/permissions\.jobs/);
  folder.remove();
});
