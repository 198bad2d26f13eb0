import { PluginUnderTest } from '@atoll/kernel/testing';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { pluginSource, writePlugin, type PluginOnDisk } from '../../../test/support/plugin-folder.js';

const SETUP = `
  const seen = [];
  jobs.define('quick', ({ attempt }) => attempt);
  jobs.define('brief', async () => { await new Promise((r) => setTimeout(r, 700)); return 'done'; });
  jobs.define('long', { timeoutMs: 60000 }, ({ id, attempt, signal }) => new Promise((resolve, reject) => {
    seen.push({ id, attempt });
    signal.addEventListener('abort', () => { seen.push({ id, aborted: attempt }); reject(signal.reason); });
  }));
  schedule.cron('yearly', '0 0 1 1 *', { timeZone: 'Europe/Vienna' }, () => {});
  http.post('/send', ({ body }) => jobs.send(body.name, null, body.options));
  http.get('/seen', () => seen);
`;

interface Job {
  state: string;
  attempts: number;
  result?: unknown;
}

describe('jobs whose plugin or process goes away', () => {
  let folder: PluginOnDisk;
  let plugin: PluginUnderTest;
  beforeAll(async () => {
    folder = writePlugin('leaves', pluginSource(SETUP), { permissions: { jobs: true, schedule: true } });
    plugin = await PluginUnderTest.start(folder.dir);
  });
  afterAll(async () => {
    await plugin?.close();
    folder.remove();
  });

  const json = async <T>(method: string, path: string, body?: object) => {
    const headers = { 'content-type': 'application/json' };
    const reply = await plugin.request(method, path, body ? { headers, body: JSON.stringify(body) } : {});
    return (await reply.json()) as T;
  };
  const send = (name: string, options: object = {}) => json<string>('POST', '/x/leaves/send', { name, options });
  const job = (id: string) => json<Job>('GET', `/api/v1/jobs/${id}`);
  const reaches = (id: string, expected: Partial<Job>) =>
    vi.waitFor(async () => expect(await job(id)).toMatchObject(expected), 15_000);

  it('takes over what a process that is gone has begun', async () => {
    const id = await send('quick', { delayMs: 3_600_000 });
    await plugin.database.query(
      `update pgboss.job set state = 'active', started_on = now(), start_after = now(), heartbeat_on = now() - interval '20 s' where id = $1`,
      [id],
    );
    await reaches(id, { state: 'completed', attempts: 2, result: 2 });
  });

  it('gives up what takes its process away again and again', async () => {
    const id = await send('quick', { delayMs: 3_600_000 });
    await plugin.database.query(
      `update pgboss.job set state = 'active', started_on = now(), heartbeat_on = now() - interval '20 s', retry_limit = 0,
         data = jsonb_set(data, '{lost}', '3') where id = $1`,
      [id],
    );
    await reaches(id, { state: 'failed', attempts: 1 });
  });

  it('aborts a run whose job has been taken over, and takes no answer of it', async () => {
    const id = await send('long');
    await vi.waitFor(
      async () => expect(await json('GET', '/x/leaves/seen')).toContainEqual({ id, attempt: 1 }),
      15_000,
    );
    await plugin.database.query('update pgboss.job set retry_count = retry_count + 1 where id = $1', [id]);
    await vi.waitFor(
      async () => expect(await json('GET', '/x/leaves/seen')).toContainEqual({ id, aborted: 1 }),
      15_000,
    );
    expect(await job(id)).toMatchObject({ state: 'running' });
    await json('POST', `/api/v1/jobs/${id}/cancel`, {});
  });

  it('lets a job end on the version that began it, while another one takes over', async () => {
    const id = await send('brief');
    await reaches(id, { state: 'running' });
    await json('POST', '/api/v1/plugins/leaves/reload', {});
    await reaches(id, { state: 'completed', attempts: 1, result: 'done' });
    await reaches(await send('quick'), { state: 'completed', attempts: 1 });
  });

  it('keeps a job of a plugin that is disabled until it is back; its schedules go and come', async () => {
    const schedules = () => plugin.database.query('select name, timezone from pgboss.schedule');
    await vi.waitFor(async () =>
      expect(await schedules()).toEqual([{ name: 'leaves/yearly', timezone: 'Europe/Vienna' }]),
    );
    const id = await send('long');
    await reaches(id, { state: 'running', attempts: 1 });
    await json('POST', '/api/v1/plugins/leaves/disable', {});
    await reaches(id, { state: 'retrying', attempts: 1 });
    await vi.waitFor(async () => expect(await schedules()).toEqual([]));
    await json('POST', '/api/v1/plugins/leaves/enable', {});
    await reaches(id, { state: 'running', attempts: 2 });
    await vi.waitFor(async () => expect(await schedules()).toHaveLength(1));
    await json('POST', `/api/v1/jobs/${id}/cancel`, {});
  });

  it('runs a job by the clock', { timeout: 90_000 }, async () => {
    const source = `schedule.cron('ticks', '* * * * *', ({ data, attempt }) => ({ data, attempt }));`;
    const clock = writePlugin('clock', pluginSource(source), { permissions: { schedule: true } });
    const ticking = await PluginUnderTest.start(clock.dir);
    try {
      await vi.waitFor(async () => {
        const { items } = (await (
          await ticking.request('GET', '/api/v1/jobs?plugin=clock&state=completed')
        ).json()) as {
          items: { id: string }[];
        };
        expect(items.length).toBeGreaterThan(0);
        const done = await ticking.request('GET', `/api/v1/jobs/${items[0]!.id}`);
        expect(await done.json()).toMatchObject({ name: 'ticks', result: { data: null, attempt: 1 } });
      }, 80_000);
    } finally {
      await ticking.close();
      clock.remove();
    }
  });

  it('refuses what is no schedule', async () => {
    const wrong = writePlugin('late', pluginSource(`schedule.cron('odd', '61 * * * *', () => {});`), {
      permissions: { schedule: true },
    });
    await expect(PluginUnderTest.start(wrong.dir)).rejects.toThrow(/no schedule/);
    wrong.remove();
  });
});
