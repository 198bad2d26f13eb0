import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, TEST_SERVER } from '../../../kernel/src/database/testing.js';
import { startTestKernel, type TestKernel } from '../../../test/support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../../../test/support/plugin-folder.js';

const MAIN = fileURLToPath(new URL('../../dist-host/cli/main.js', import.meta.url));

const SETUP = `
  const notes = storage.collection('notes', { indexes: { tag: 'unique', title: 'text', e: { vector: 2 } } });
  http.post('/', async ({ body }) => notes.insert(body));
  http.get('/', async () => (await notes.find({ orderBy: 'n' })).items);
  http.get('/search/:text', async ({ params }) => (await notes.search({ text: params.text, vector: [1, 0] })).items.map(({ document }) => document.n));
  http.post('/blob', async () => storage.blobs.put('content of a blob'));
  http.get('/blob/:sha', async ({ params }) => (await storage.blobs.get(params.sha)).text());
`;

describe('atoll db and atoll data', () => {
  let dir: string;
  let dataDir: string;
  let plugin: PluginOnDisk;
  let env: Record<string, string>;
  const undo: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'atoll-db-cli-'));
    dataDir = path.join(dir, 'data');
    plugin = writePlugin('keeper', pluginSource(SETUP), { permissions: { storage: true } });
    env = { ATOLL_DATA_DIR: dataDir, ATOLL_ADMIN_KEY: 'test-root-key-0123456789' };
    if (TEST_SERVER) {
      const made = await createTestDatabase(TEST_SERVER);
      env.DATABASE_URL = made.url;
      undo.push(made.drop);
    }
  });
  afterAll(async () => {
    plugin.remove();
    await rm(dir, { recursive: true, force: true });
    for (const each of undo) await each();
  });

  async function atoll(args: string[], more: Record<string, string> = {}) {
    const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
    const child = spawn(process.execPath, [MAIN, '--json', ...args], {
      cwd: dir,
      env: { PATH, HOME, NODE_COMPILE_CACHE, ...env, ...more },
    });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, json: code === 0 || stdout !== '' ? JSON.parse(stdout) : JSON.parse(stderr) } as {
      code: number;
      json: never;
    };
  }

  async function withKernel<T>(
    work: (kernel: TestKernel) => Promise<T>,
    more: Record<string, string> = {},
  ): Promise<T> {
    const kernel = await startTestKernel({ env: { ...env, ...more }, pluginPath: [plugin.dir] });
    try {
      return await work(kernel);
    } finally {
      await kernel.stop();
    }
  }
  const call = async (kernel: TestKernel, target: string, body?: object) => {
    const init = body && {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    };
    const response = await kernel.call(target, init);
    expect(response.status).toBe(200);
    return response.json() as Promise<never>;
  };

  /** What is there whatever happened to the database. */
  const expectAll = async (kernel: TestKernel, sha256: string) => {
    expect(await call(kernel, '/x/keeper')).toMatchObject([
      { n: 1, title: 'a fox', version: 1 },
      { n: 2, title: 'a dög 😀' },
    ]);
    expect(await call(kernel, '/x/keeper/search/fox')).toEqual([1, 2]);
    expect(await call(kernel, `/x/keeper/blob/${sha256}`)).toBe('content of a blob');
    const duplicate = await kernel.call('/x/keeper', {
      method: 'POST',
      body: '{"tag":"t1"}',
      headers: { 'content-type': 'application/json' },
    });
    expect(duplicate.status).toBe(409);
    expect(await call(kernel, '/api/v1/plugins/hello')).toMatchObject({ state: 'stopped' });
  };

  it('back up, check, export, roll back and restore', { timeout: 180_000 }, async () => {
    const backup = path.join(dir, 'running.backup');
    const exported = path.join(dir, 'keeper.ndjson');
    const sha256 = await withKernel(async (kernel) => {
      await call(kernel, '/x/keeper', { n: 1, title: 'a fox', tag: 't1', e: [1, 0] });
      await call(kernel, '/x/keeper', { n: 2, title: 'a dög 😀', tag: 't2', e: [0, 1] });
      const { sha256: sha } = await call(kernel, '/x/keeper/blob', {});
      await call(kernel, '/api/v1/plugins/hello/disable', {});
      const url = { ATOLL_URL: kernel.url };
      expect(await atoll(['db', 'backup', backup], url)).toMatchObject({ code: 0 });
      expect(await atoll(['db', 'check'], url)).toMatchObject({ code: 0, json: { problems: [] } });
      expect(await atoll(['db', 'migrate'], url)).toEqual({ code: 0, json: { applied: [] } });
      expect(await atoll(['db', 'rollback'], url)).toMatchObject({ code: 1, json: { code: 'DATABASE_LOCKED' } });
      expect(await atoll(['db', 'restore', backup, '--force'], url)).toMatchObject({
        code: 1,
        json: { code: 'DATABASE_LOCKED' },
      });
      expect(await atoll(['data', 'export', 'keeper', exported], url)).toMatchObject({ code: 0 });
      expect(await atoll(['data', 'purge', 'keeper'], url)).toMatchObject({ code: 2 });
      expect(await atoll(['data', 'purge', 'keeper', '--yes'], url)).toMatchObject({ code: 0, json: { rows: 3 } });
      expect(await call(kernel, '/x/keeper')).toEqual([]);
      expect(await atoll(['data', 'export', 'nobody', path.join(dir, 'x')], url)).toMatchObject({
        code: 5,
        json: { code: 'PLUGIN_NOT_FOUND' },
      });
      expect(await atoll(['data', 'import', 'keeper', exported], url)).toEqual({
        code: 0,
        json: { documents: 2, blobs: 1 },
      });
      expect(await atoll(['data', 'import', 'keeper', exported], url)).toEqual({
        code: 0,
        json: { documents: 2, blobs: 1 },
      });
      const cut = path.join(dir, 'cut.ndjson');
      await writeFile(cut, (await readFile(exported, 'utf8')).split('\n').slice(0, -2).join('\n'));
      expect(await atoll(['data', 'import', 'keeper', cut], url)).toMatchObject({
        code: 1,
        json: { code: 'IMPORT_INVALID' },
      });
      await expectAll(kernel, sha);
      return sha as string;
    });
    expect(await atoll(['db', 'check'])).toMatchObject({
      code: 0,
      json: { problems: [], migrations: { pending: [] } },
    });
    const idle = path.join(dir, 'idle.backup');
    expect(await atoll(['db', 'backup', idle])).toMatchObject({ code: 0, json: { tables: expect.any(Number) } });
    const undone = (await atoll(['db', 'rollback', '--to', '0'])).json as { undone: string[] };
    expect(undone.undone).toContain('0001-plugin-states');
    expect(await atoll(['db', 'check'])).toMatchObject({ code: 1 });
    expect(await atoll(['db', 'migrate'])).toEqual({ code: 0, json: { applied: undone.undone.toReversed() } });
    for (const file of [idle, backup]) {
      expect(await atoll(['db', 'restore', file, '--force'])).toMatchObject({ code: 0 });
      await withKernel((kernel) => expectAll(kernel, sha256));
    }
    // What one kind of database has written, the other one takes.
    if (TEST_SERVER) {
      const embedded = { DATABASE_URL: '' };
      expect(await atoll(['db', 'restore', idle], embedded)).toMatchObject({ code: 0 });
      await withKernel((kernel) => expectAll(kernel, sha256), embedded);
      const back = path.join(dir, 'embedded.backup');
      expect(await atoll(['db', 'backup', back], embedded)).toMatchObject({ code: 0 });
      expect(await atoll(['db', 'restore', back])).toMatchObject({ code: 1, json: { code: 'CONFLICT' } });
      expect(await atoll(['db', 'restore', back, '--force'])).toMatchObject({ code: 0 });
      await withKernel((kernel) => expectAll(kernel, sha256));
    } else expect(readdirSync(dataDir).filter((name) => name.startsWith('database.before-'))).toHaveLength(2);
  });

  it('refuse to restore from what is no backup, and change nothing', { timeout: 120_000 }, async () => {
    const good = await readFile(path.join(dir, 'idle.backup'));
    const edited = (edit: (lines: string[]) => string[]) =>
      gzipSync(edit(gunzipSync(good).toString().split('\n')).join('\n'));
    const broken = {
      empty: Buffer.alloc(0),
      'no gzip': Buffer.from('hello'),
      'something else': gzipSync('{"a":1}\n'),
      'no end': edited((lines) => lines.slice(0, -2)),
      cut: good.subarray(0, good.length - 100),
      'a row less': edited((lines) => lines.filter((_, at) => at !== 2)),
      'of the future': edited(([head, ...lines]) => [head!.replace('0001-plugin-states', '9999-future'), ...lines]),
    };
    const rowsOf = async () => {
      const { tables } = (await atoll(['db', 'check'])).json as { tables: { name: string; rows: number }[] };
      return tables.map(({ name, rows }) => [name, rows]);
    };
    const before = await rowsOf();
    for (const [what, bytes] of Object.entries(broken)) {
      const bad = path.join(dir, 'bad.backup');
      await writeFile(bad, bytes);
      const { code, json } = await atoll(['db', 'restore', bad, '--force']);
      expect({ what, code, json }).toMatchObject({
        code: 1,
        json: { code: what === 'of the future' ? 'DATABASE_NEWER' : 'BACKUP_INVALID' },
      });
    }
    expect(await rowsOf()).toEqual(before);
  });

  it('make no database where they only look', async () => {
    const none = { DATABASE_URL: '', ATOLL_DATA_DIR: path.join(dir, 'none') };
    for (const command of [['check'], ['rollback'], ['backup', path.join(dir, 'none.backup')]])
      expect(await atoll(['db', ...command], none)).toMatchObject({ code: 5, json: { code: 'NOT_FOUND' } });
    expect(existsSync(path.join(dir, 'none'))).toBe(false);
  });

  it('restore over a folder that is no database any more', async () => {
    const broken = path.join(dir, 'broken');
    await mkdir(path.join(broken, 'database'), { recursive: true });
    await writeFile(path.join(broken, 'database/PG_VERSION'), '18\n');
    const embedded = { DATABASE_URL: '', ATOLL_DATA_DIR: broken };
    expect(await atoll(['db', 'check'], embedded)).toMatchObject({ code: 1, json: { code: 'DATABASE_CORRUPT' } });
    expect(await atoll(['db', 'restore', path.join(dir, 'idle.backup')], embedded)).toMatchObject({
      code: 0,
      json: { kept: expect.stringContaining('database.before-') },
    });
    expect(existsSync(path.join(broken, 'database/base'))).toBe(true);
    expect(await atoll(['db', 'check'], embedded)).toMatchObject({ code: 0, json: { problems: [] } });
  });
});
