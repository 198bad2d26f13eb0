import { createServer, connect as tcp, type Server, type Socket } from 'node:net';
import { Migration } from '@mikro-orm/migrations';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import { Metrics } from '../telemetry/metrics.js';
import { Database } from './database.js';
import { createTestDatabase, databaseDefaults, TEST_SERVER } from './testing.js';

const SERVER = TEST_SERVER ?? '';
const parts = { log: pino({ level: 'silent' }), metrics: new Metrics() };

/** A way to the server that can be cut. */
async function cuttable(url: string) {
  const target = new URL(url);
  const open = new Set<Socket>();
  const listen = (port: number) =>
    new Promise<Server>((resolve) => {
      const server = createServer((client) => {
        const upstream = tcp(Number(target.port || 5432), target.hostname);
        for (const [from, to] of [
          [client, upstream],
          [upstream, client],
        ] as const) {
          open.add(from);
          from.pipe(to);
          from.on('error', () => to.destroy()).on('close', () => to.destroy());
        }
      }).listen(port, '127.0.0.1', () => resolve(server));
    });
  let server = await listen(0);
  const { port } = server.address() as { port: number };
  const through = new URL(url);
  through.host = `127.0.0.1:${port}`;
  return {
    url: through.href,
    cut: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      open.clear();
      await closed;
    },
    mend: async () => {
      server = await listen(port);
    },
  };
}

describe.runIf(TEST_SERVER)('a PostgreSQL server', () => {
  it('that goes away is told, and used again when it is back', async () => {
    const made = await createTestDatabase(SERVER);
    const way = await cuttable(made.url);
    const database = new Database({
      ...parts,
      metrics: new Metrics(),
      config: { ...databaseDefaults(), url: way.url },
    });
    await database.open();
    const hanging = database.transaction(async () => database.query('select pg_sleep(10)'));
    hanging.catch(() => {});
    await expect
      .poll(
        async () =>
          (
            await database.query(
              "select 1 from pg_stat_activity where query like 'select pg_sleep%' and datname = current_database()",
            )
          ).length,
      )
      .toBe(1);
    await way.cut();
    await expect(hanging).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    await expect(database.query('select 1')).rejects.toMatchObject({ code: 'DATABASE_UNAVAILABLE' });
    expect(database.reachable).toBe(false);
    await way.mend();
    await expect.poll(() => database.reachable, { timeout: 10_000 }).toBe(true);
    for (let turn = 0; turn < 30; turn++) await database.transaction(() => database.query('select 1'));
    await database.close();
    await way.cut();
    await made.drop();
  });

  it('cancels a statement that takes too long', async () => {
    const made = await createTestDatabase(SERVER);
    const database = new Database({
      ...parts,
      metrics: new Metrics(),
      config: { ...databaseDefaults(), url: made.url, statementTimeoutMs: 1_000 },
    });
    await database.open();
    await expect(database.query('select pg_sleep(60)')).rejects.toMatchObject({ code: 'DATABASE_TIMEOUT' });
    await database.close();
    await made.drop();
  });

  it('gives a migration the time it needs', async () => {
    const made = await createTestDatabase(SERVER);
    class Slow extends Migration {
      override up(): void {
        this.addSql('select pg_sleep(1.5)');
      }
    }
    const database = new Database({
      ...parts,
      metrics: new Metrics(),
      config: { ...databaseDefaults(), url: made.url, statementTimeoutMs: 1_000 },
      migrations: [{ name: '1-slow', migration: Slow }],
    });
    await database.open();
    expect((await (await database.migrations()).status()).executed).toEqual(['1-slow']);
    expect(await database.query('show statement_timeout')).toEqual([{ statement_timeout: '1s' }]);
    await database.close();
    await made.drop();
  });

  it('is migrated once by kernels that start together', async () => {
    const made = await createTestDatabase(SERVER);
    const kernels = Array.from(
      { length: 4 },
      () => new Database({ ...parts, metrics: new Metrics(), config: { ...databaseDefaults(), url: made.url } }),
    );
    await Promise.all(kernels.map((kernel) => kernel.open()));
    const rows = await kernels[0]!.query('select name from atoll_migration group by name having count(*) > 1');
    expect(rows).toEqual([]);
    await Promise.all(kernels.map((kernel) => kernel.close()));
    await made.drop();
  });

  it('that is not there is named without its password', async () => {
    const config = { ...databaseDefaults(), url: 'postgres://someone:hunter2@127.0.0.1:1/none', connectTimeoutMs: 500 };
    const error = await new Database({ ...parts, metrics: new Metrics(), config })
      .open()
      .catch((caught: Error) => caught);
    expect(error).toMatchObject({ code: 'DATABASE_UNAVAILABLE', message: expect.stringContaining('ECONNREFUSED') });
    expect((error as Error).message).not.toContain('hunter2');
  });
});
