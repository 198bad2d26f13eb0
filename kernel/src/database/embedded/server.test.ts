import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tend } from '../maintenance.js';
import { openTestDatabase } from '../testing.js';
import { EmbeddedServer } from './server.js';

let root: string;
let dataDir: string;
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-embedded-'));
  dataDir = path.join(root, 'database');
});
afterEach(() => rm(root, { recursive: true, force: true }));

const server = () => new EmbeddedServer({ dataDir, template: 'empty', idleTransactionMs: 1_000, onLost: () => {} });

async function ask<T>(from: EmbeddedServer, sql: string): Promise<T[]> {
  const client = new pg.Client({ stream: () => from.socket(), user: 'postgres', database: 'postgres' });
  await client.connect();
  const { rows } = await client.query(sql);
  await client.end();
  return rows as T[];
}

describe('the embedded server', () => {
  it('syncs to the disk, and keeps what was written', async () => {
    const first = server();
    await first.start();
    expect(await ask(first, "select setting from pg_settings where name = 'fsync'")).toEqual([{ setting: 'on' }]);
    await ask(first, 'create table kept (id int)');
    await ask(first, 'insert into kept values (1)');
    await first.close();
    const second = server();
    await second.start();
    expect(await ask(second, 'select id from kept')).toEqual([{ id: 1 }]);
    await second.close();
  });

  it('refuses a folder that another one uses', async () => {
    const first = server();
    await first.start();
    await expect(server().start()).rejects.toMatchObject({ code: 'DATABASE_LOCKED' });
    await first.close();
    const second = server();
    await second.start();
    await second.close();
  });

  it.each([
    ['something else', { 'notes.txt': 'mine' }],
    ['another version', { PG_VERSION: '15\n' }],
    ['half a database', { PG_VERSION: '18\n' }],
  ])('refuses a folder with %s, and leaves it as it is', async (_, files) => {
    await mkdir(dataDir);
    for (const [name, text] of Object.entries(files)) await writeFile(path.join(dataDir, name), text);
    await expect(server().start()).rejects.toMatchObject({ code: 'DATABASE_CORRUPT' });
    expect(await readdir(dataDir)).toEqual(Object.keys(files));
  });

  it('refuses a damaged database, and leaves it as it is', async () => {
    const first = server();
    await first.start();
    await first.close();
    const control = path.join(dataDir, 'global/pg_control');
    await writeFile(control, Buffer.alloc(8192, 7));
    const before = await readdir(dataDir);
    await expect(server().start()).rejects.toMatchObject({ code: 'DATABASE_CORRUPT' });
    expect(await readdir(dataDir)).toEqual(before);
  });

  it.each([0, 250])('leaves the folder to others when it is closed %d ms after its thread ended', async (ms) => {
    const first = server();
    await first.start();
    await first.crash();
    // By then the thread waits to be started again, or is being started.
    await new Promise((resolve) => setTimeout(resolve, ms));
    await first.close();
    expect(first.running).toBe(false);
    const second = server();
    await second.start();
    expect(await ask(second, 'select 1 as one')).toEqual([{ one: 1 }]);
    await second.close();
  });

  it('keeps its log short, because nothing else does', async () => {
    const one = server();
    await one.start();
    const behind = async () => {
      const [row] = await ask<{ bytes: string }>(
        one,
        'select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), redo_lsn) as bytes from pg_control_checkpoint()',
      );
      return Number(row!.bytes);
    };
    await ask(
      one,
      "select count(pg_logical_emit_message(true, 'log', repeat('x', 100000))) from generate_series(1, 800)",
    );
    expect(await behind()).toBeGreaterThan(70_000_000);
    await expect.poll(behind, { timeout: 20_000 }).toBeLessThan(1_000_000);
    await one.close();
  });

  it('starts anew from a start that was cut off', async () => {
    await mkdir(`${dataDir}.new/base`, { recursive: true });
    const first = server();
    await first.start();
    expect(await ask(first, 'select 1 as one')).toEqual([{ one: 1 }]);
    await first.close();
  });
});

describe('the database over it', () => {
  it('comes back when its thread ends', async () => {
    const { database, close } = await openTestDatabase({ dataDir, config: { url: undefined } });
    await database.query("insert into plugin_state (id, desired) values ('kept', 'enabled')");
    const pending = database.query('select pg_sleep(5)').catch((error: { code: string }) => error.code);
    await database.crashEmbedded();
    expect(await pending).toBe('DATABASE_UNAVAILABLE');
    expect(database.reachable).toBe(false);
    await expect.poll(() => database.reachable, { timeout: 15_000 }).toBe(true);
    expect(await database.query('select id from plugin_state')).toEqual([{ id: 'kept' }]);
    await close();
  });

  it('tends what has changed a lot, because nothing else does', async () => {
    const { database, close } = await openTestDatabase({ dataDir, config: { url: undefined } });
    await database.query('create table busy as select n from generate_series(1, 2000) as n');
    await database.query('update busy set n = n + 1');
    expect(await tend(database)).toContain('public.busy');
    expect(await tend(database)).toEqual([]);
    const rows = await database.query("select reltuples from pg_class where relname = 'busy'");
    expect(rows).toEqual([{ reltuples: 2_000 }]);
    await close();
  });

  it('loses nothing that was acknowledged when its process is killed', async () => {
    const script = `
      import { EmbeddedServer } from ${JSON.stringify(fileURLToPath(new URL('../../../dist/database/embedded/server.js', import.meta.url)))};
      import pg from ${JSON.stringify(import.meta.resolve('pg'))};
      const server = new EmbeddedServer({ dataDir: ${JSON.stringify(dataDir)}, template: 'empty', idleTransactionMs: 1000, onLost: () => {} });
      await server.start();
      const client = new pg.Client({ stream: () => server.socket(), user: 'postgres', database: 'postgres' });
      await client.connect();
      await client.query('create table acked (id int primary key)');
      for (let id = 0; ; id++) {
        await client.query('insert into acked values ($1)', [id]);
        process.stdout.write(id + '\\n');
      }`;
    const file = path.join(root, 'writer.mjs');
    await writeFile(file, script);
    const child = spawn(process.execPath, [file], { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    await new Promise<void>((resolve) => {
      child.stdout.on('data', (data: Buffer) => {
        output += data.toString();
        if (output.length > 1_500) child.kill('SIGKILL');
      });
      child.once('close', () => resolve());
    });
    const acknowledged = Number(output.split('\n').at(-2));
    const after = server();
    await after.start();
    const [row] = await ask<{ max: number; count: number }>(after, 'select max(id), count(*)::int from acked');
    expect(row!.max).toBeGreaterThanOrEqual(acknowledged);
    expect(row!.count).toBe(row!.max + 1);
    await after.close();
  });
});
