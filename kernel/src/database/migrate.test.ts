import { Migration } from '@mikro-orm/migrations';
import { expect, it } from 'vitest';
import type { NamedMigration } from './migrations/index.js';
import { MIGRATIONS } from './migrations/index.js';
import { openTestDatabase } from './testing.js';

const migration = (name: string, up: string[], down: string[] = []): NamedMigration => ({
  name,
  migration: class extends Migration {
    override up(): void {
      for (const sql of up) this.addSql(sql);
    }

    override down(): void {
      for (const sql of down) this.addSql(sql);
    }
  },
});

const ONE = migration('1-one', ['create table one (id int)'], ['drop table one']);
const TWO = migration('2-two', ['create table two (id int)'], ['drop table two']);
const BROKEN = migration('3-broken', ['create table three (id int)', 'create table one (id int)']);

it('goes up and down', async () => {
  const { database, close } = await openTestDatabase({ migrations: [ONE, TWO] });
  const migrations = await database.migrations();
  expect(await migrations.status()).toEqual({ executed: ['1-one', '2-two'], pending: [] });
  await database.query('insert into two values (1)');
  expect(await migrations.down()).toEqual(['2-two']);
  await expect(database.query('select * from two')).rejects.toThrow(/two/);
  expect(await migrations.status()).toEqual({ executed: ['1-one'], pending: ['2-two'] });
  expect(await migrations.up()).toEqual(['2-two']);
  expect(await migrations.down('0')).toEqual(['2-two', '1-one']);
  await expect(migrations.down('9-none')).resolves.toEqual([]);
  await close();
});

it('gives a new embedded database at once what they would make of an empty one', async () => {
  const schemas = [];
  for (const options of [{}, { migrations: MIGRATIONS }]) {
    const { database, close } = await openTestDatabase(options);
    schemas.push({
      migrations: (await (await database.migrations()).status()).executed,
      columns: await database.query(
        `select table_name, column_name, data_type, is_nullable, column_default from information_schema.columns
         where table_schema = 'public' order by table_name, ordinal_position`,
      ),
      indexes: await database.query(`select indexdef from pg_indexes where schemaname = 'public' order by indexdef`),
      organisations: await database.query('select id, name from organisation'),
    });
    await close();
  }
  expect(schemas[0]!.migrations).toEqual(MIGRATIONS.map(({ name }) => name));
  expect(schemas[0]).toEqual(schemas[1]);
});

it('undoes every one of its own, down to an empty database', async () => {
  const { database, close } = await openTestDatabase();
  const migrations = await database.migrations();
  expect(await migrations.down('0')).toEqual(MIGRATIONS.map(({ name }) => name).toReversed());
  const left = await database.query(
    "select tablename from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
  );
  expect(left).toEqual([{ tablename: 'atoll_migration' }]);
  expect(await migrations.up()).toHaveLength(MIGRATIONS.length);
  await close();
});

it('leaves nothing of a run in which one fails', async () => {
  const { database, close } = await openTestDatabase({ migrations: [ONE, TWO, BROKEN], migrate: false });
  const migrations = await database.migrations();
  await expect(migrations.up()).rejects.toMatchObject({
    code: 'MIGRATION_FAILED',
    message: expect.stringMatching(/"one" already exists/),
  });
  expect((await migrations.status()).executed).toEqual([]);
  const tables = await database.query("select tablename from pg_tables where tablename in ('one', 'two', 'three')");
  expect(tables).toEqual([]);
  await close();
});

it('refuses a database that a newer version has migrated', async () => {
  const { database, close } = await openTestDatabase({ migrations: [ONE, TWO] });
  await database.query("update atoll_migration set name = '9-future' where name = '2-two'");
  const migrations = await database.migrations();
  await expect(migrations.up()).rejects.toMatchObject({ code: 'DATABASE_NEWER' });
  await expect(migrations.down()).rejects.toMatchObject({ code: 'DATABASE_NEWER' });
  await close();
});
