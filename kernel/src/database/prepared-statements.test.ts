import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PreparedStatements } from './prepared-statements.js';
import { openTestDatabase, type TestDatabase } from './testing.js';

describe('PreparedStatements', () => {
  const used = (statements: PreparedStatements, sql: string, times: number) => {
    for (let turn = 1; turn < times; turn++) statements.nameOf(sql);
    return statements.nameOf(sql);
  };

  it('names what comes again, each with a name of its own', () => {
    const statements = new PreparedStatements();
    expect(used(statements, 'select 1', 2)).toBeUndefined();
    const name = statements.nameOf('select 1');
    expect(name).toMatch(/^atoll_\d+$/);
    expect(statements.nameOf('select 1')).toBe(name);
    expect(used(statements, 'select 2', 3)).not.toBe(name);
    expect(used(new PreparedStatements(), 'select 1', 3)).not.toBe(name);
  });

  it('has no name for what is very long', () => {
    expect(used(new PreparedStatements(), `select ${'1,'.repeat(10_000)}`, 10)).toBeUndefined();
  });

  it('gives up what was not used for longest', () => {
    const statements = new PreparedStatements();
    const [kept, old] = [used(statements, 'kept', 3), used(statements, 'old', 3)];
    for (let n = 0; n < 100; n++) {
      statements.nameOf('kept');
      statements.nameOf(`once ${n}`);
    }
    expect(statements.takeGivenUp()).toEqual([old]);
    expect(statements.takeGivenUp()).toEqual([]);
    expect(statements.nameOf('kept')).toBe(kept);
  });

  it('names anew what it was told to forget', () => {
    const statements = new PreparedStatements();
    const name = used(statements, 'select 1', 3);
    statements.forget('select 1');
    expect(statements.takeGivenUp()).toEqual([name]);
    expect(statements.nameOf('select 1')).toBeUndefined();
  });
});

describe('in the database', () => {
  let test: TestDatabase;
  beforeAll(async () => {
    test = await openTestDatabase();
    await test.database.query('create table item (id int primary key, label text)');
  });
  afterAll(() => test.close());

  /** One after the other they share a connection. */
  const times = async (count: number, sql: string, parameters: unknown[]) => {
    for (let n = 1; n < count; n++) await test.database.query(sql, parameters);
    return test.database.query(sql, parameters);
  };
  const prepared = async (sql: string) =>
    (await test.database.query('select name from pg_prepared_statements where statement = $1', [sql])).length;

  it('a statement is prepared once for many uses', async () => {
    const sql = 'insert into item (id, label) select coalesce(max(id), 0) + 1, $1 from item';
    await times(20, sql, ['x']);
    expect(await prepared(sql)).toBe(1);
    expect(await test.database.query('select count(*)::int as count from item')).toEqual([{ count: 20 }]);
  });

  it('one whose columns have changed is prepared anew', async () => {
    const sql = 'select * from item where id = $1';
    expect(await times(5, sql, [1])).toEqual([{ id: 1, label: 'x' }]);
    await test.database.query('alter table item add column more int default 7');
    expect(await test.database.query(sql, [1])).toEqual([{ id: 1, label: 'x', more: 7 }]);
    expect(await times(5, sql, [1])).toEqual([{ id: 1, label: 'x', more: 7 }]);
  });

  it('one that fails can be used again', async () => {
    const sql = 'select 10 / $1::int as quotient';
    await times(5, sql, [5]);
    await expect(test.database.query(sql, [0])).rejects.toMatchObject({ code: '22012' });
    expect(await test.database.query(sql, [2])).toEqual([{ quotient: 5 }]);
  });

  it('the server forgets what is given up', async () => {
    const sql = 'select $1::int as old';
    await times(5, sql, [1]);
    for (let n = 0; n < 120; n++) await test.database.query(`select ${n} as n, $1::int as given`, [n]);
    expect(await prepared(sql)).toBe(0);
    expect(await test.database.query(sql, [3])).toEqual([{ old: 3 }]);
  });
});
