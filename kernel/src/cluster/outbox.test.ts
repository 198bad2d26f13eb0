import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { packSample } from '../../../test/support/packages.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../../../test/support/plugin-folder.js';
import { TestRedisDoor } from '../../../test/support/redis-door.js';
import { TEST_SERVER } from '../database/testing.js';
import { resolve } from '../di/container.js';
import * as T from '../di/tokens.js';
import { TestKernel } from '../identity/testing.js';

/* On PostgreSQL with Redis: events are kept for other nodes in the transaction of the change that they tell of. */

const TEST_REDIS = process.env.TEST_REDIS_URL || undefined;

const WORKER = pluginSource(`
  const wait = jobs.define('wait', () => new Promise(() => {}));
  http.get('/', () => ({}));
  http.post('/', async () => ({ id: await wait.send({}) }));
`);

describe.runIf(TEST_SERVER && TEST_REDIS)('events of changes', () => {
  const packages = mkdtempSync(path.join(tmpdir(), 'atoll-outbox-'));
  let door: TestRedisDoor;
  let plugin: PluginOnDisk;
  let test: TestKernel;
  const heard: string[] = [];
  beforeAll(async () => {
    door = await TestRedisDoor.open(TEST_REDIS!);
    plugin = writePlugin('worker', WORKER, {
      permissions: { jobs: true, storage: true },
      config: { type: 'object', properties: { word: { type: 'string', default: '' } } },
    });
    test = await TestKernel.start((config) => {
      config.redis.url = door.url;
      config.plugins.path = [plugin.dir];
    });
    resolve(test.kernel.container, T.EVENT_BUS).subscribe('**', ({ type }) => heard.push(type));
    // Nothing is sent, so that all of it stays as it was written.
    door.shut();
  });
  afterAll(async () => {
    door?.release();
    await test?.close();
    door?.close();
    plugin?.remove();
    rmSync(packages, { recursive: true, force: true });
  });
  beforeEach(() => {
    heard.length = 0;
  });

  const sql = (text: string, parameters: unknown[] = []) => test.database.query(text, parameters);
  const change = (method: string, target: string, body?: object) =>
    test.call(method, `/api/v1/${target}`, body === undefined ? {} : { body });
  const kept = async (type: string) =>
    sql(`select event::jsonb->'data' as data from cluster.outbox where event::jsonb->>'type' = $1 order by seq`, [
      type,
    ]);
  /** Whether the latest event of the type and this row were written by one transaction. */
  const withRow = async (type: string, row: string) => {
    const [found] = await sql(
      `select (select xmin::text from cluster.outbox where event::jsonb->>'type' = $1 order by seq desc limit 1) as event,
              (select xmin::text from ${row}) as row`,
      [type],
    );
    return { ...found, both: found?.event === found?.row && found?.event !== null };
  };
  /** Until `allow`, rows of the table that match are refused by the database. */
  const refuse = async (table: string, when: string) => {
    await sql(`create function refuse() returns trigger language plpgsql as 'begin raise exception ''refused''; end'`);
    await sql(`create trigger refuse before insert on ${table} for each row when (${when}) execute function refuse()`);
  };
  const allow = () => sql('drop function refuse cascade');
  const publish = async (version: string) => {
    const files = { 'src/index.ts': pluginSource(`http.get('/', () => '${version}');`) };
    const { bytes } = await packSample(packages, { id: 'tide', version, atoll: { mounts: ['/x/tide'] }, files });
    const response = await fetch(`${test.url}/api/v1/marketplace/publish`, {
      method: 'POST',
      headers: { authorization: 'Bearer root-key-of-these-tests', 'content-type': 'application/octet-stream' },
      body: new Uint8Array(bytes),
    });
    expect(response.status).toBe(201);
  };
  const heardOf = async (type: string) => expect.poll(() => heard).toContain(type);

  it('of permissions are kept with them', async () => {
    expect((await change('PUT', 'plugins/worker/permissions', { jobs: true, storage: false })).status).toBe(200);
    const row = `plugin_permission where id = 'worker'`;
    expect(await withRow('plugin.permissions.changed', row)).toMatchObject({ both: true });
    await heardOf('plugin.permissions.changed');
  });

  it('of a change that is rolled back are kept nowhere, and nobody hears of them', async () => {
    const before = await kept('plugin.permissions.changed');
    await refuse('audit_entry', `new.action = 'plugins.permissions.reset' and new.outcome = 'done'`);
    expect((await change('DELETE', 'plugins/worker/permissions')).status).toBe(500);
    await allow();
    expect(await kept('plugin.permissions.changed')).toEqual(before);
    expect((await change('GET', 'plugins/worker/permissions')).body).toMatchObject({ granted: { storage: false } });
    expect((await change('DELETE', 'plugins/worker/permissions')).status).toBe(200);
    await heardOf('plugin.permissions.changed');
    expect(heard.filter((type) => type === 'plugin.permissions.changed')).toHaveLength(1);
  });

  it('that can not be kept leave nothing of the change', async () => {
    await refuse('cluster.outbox', `new.event::jsonb->>'type' = 'plugin.permissions.changed'`);
    expect((await change('PUT', 'plugins/worker/permissions', { jobs: true, storage: false })).status).toBe(500);
    await allow();
    expect((await change('GET', 'plugins/worker/permissions')).body).toMatchObject({ granted: { storage: true } });
    expect(heard).not.toContain('plugin.permissions.changed');
  });

  it('of configurations and installations are kept with them', async () => {
    expect((await change('PUT', 'plugins/worker/config', { word: 'next' })).status).toBe(200);
    expect(await withRow('plugin.swapped', `plugin_state where id = 'worker'`)).toMatchObject({ both: true });
    await publish('1.0.0');
    expect((await change('POST', 'marketplace/tide/install', { consent: true })).status).toBe(200);
    await publish('1.1.0');
    expect((await change('POST', 'plugins/tide/upgrade', { consent: true })).status).toBe(200);
    expect(await withRow('plugin.swapped', `plugin_installation where id = 'tide'`)).toMatchObject({ both: true });
    expect((await kept('plugin.swapped')).at(-1)).toMatchObject({ data: { id: 'tide', from: '1.0.0', to: '1.1.0' } });
  });

  it('of an upgrade that is undone nobody hears', async () => {
    await publish('1.2.0');
    const before = await kept('plugin.swapped');
    await sql(`alter table plugin_installation add constraint refused check (version <> '1.2.0')`);
    expect((await change('POST', 'plugins/tide/upgrade', { consent: true })).status).toBe(500);
    await sql('alter table plugin_installation drop constraint refused');
    expect((await change('GET', 'plugins/tide')).body).toMatchObject({ version: '1.1.0', state: 'active' });
    expect(await kept('plugin.swapped')).toEqual(before);
    expect(heard).not.toContain('plugin.swapped');
  });

  it('of canaries are kept with them', async () => {
    const row = `plugin_canary where id = 'tide'`;
    expect((await change('POST', 'plugins/tide/upgrade', { canary: { share: 0.5 } })).status).toBe(200);
    expect(await withRow('plugin.canary.started', row)).toMatchObject({ both: true });
    expect((await change('POST', 'plugins/tide/canary/abort')).status).toBe(200);
    expect(await withRow('plugin.canary.aborted', row)).toMatchObject({ both: true });
    for (const type of ['plugin.canary.started', 'plugin.canary.aborted']) await heardOf(type);
  });

  it('of jobs are kept with them', async () => {
    await refuse('cluster.outbox', `new.event::jsonb->>'type' = 'job.started'`);
    const { id } = (await test.call<{ id: string }>('POST', '/x/worker')).body;
    const state = async () => (await change('GET', `jobs/${id}`)).body.state;
    const row = `pgboss.job where id = '${id}'`;
    expect(await withRow('job.queued', row)).toMatchObject({ both: true });
    // It can't be begun as long as that can't be told.
    for (let n = 0; n < 20; n++) expect(await state()).toBe('queued');
    await allow();
    await expect.poll(state).toBe('running');
    expect((await kept('job.started')).at(-1)).toMatchObject({ data: { id, attempt: 1 } });
    expect((await change('POST', `jobs/${id}/cancel`)).status).toBe(200);
    expect(await withRow('job.cancelled', row)).toMatchObject({ both: true });
    expect((await change('POST', `jobs/${id}/cancel`)).status).toBe(409);
    expect(await kept('job.cancelled')).toHaveLength(1);
    await refuse('cluster.outbox', `new.event::jsonb->>'type' = 'job.queued'`);
    expect((await change('POST', `jobs/${id}/replay`)).status).toBe(500);
    expect(await state()).toBe('cancelled');
    await allow();
    expect((await change('POST', `jobs/${id}/replay`)).status).toBe(200);
    for (const type of ['job.queued', 'job.started', 'job.cancelled']) await heardOf(type);
  });
});
