import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { UniqueConstraintViolationException } from '@mikro-orm/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PluginStateEntity } from '../plugins/plugin-state-entity.js';
import { openTestDatabase, type TestDatabase } from './testing.js';
import { assertOutsideTransaction } from './transaction-scope.js';

let test: TestDatabase;
beforeAll(async () => {
  test = await openTestDatabase({ config: { transactionTimeoutMs: 500, idleTransactionMs: 300 } });
});
afterAll(() => test.close());

const ids = async () =>
  (await test.database.query<{ id: string }>('select id from plugin_state order by id')).map(({ id }) => id);
const insert = (id: string) =>
  test.database.query(`insert into plugin_state (id, desired) values ($1, 'enabled')`, [id]);
const code = (promise: Promise<unknown>) =>
  promise.then(
    () => 'resolved',
    (error) => (error instanceof AtollError ? error.code : (error as Error).name),
  );

describe('transactions', () => {
  it('commit, and roll back when the work fails', async () => {
    await test.database.transaction(async (em) => {
      em.create(PluginStateEntity, { id: 'committed', desired: 'enabled' }, { persist: true });
    });
    const failing = test.database.transaction(async (em) => {
      em.create(PluginStateEntity, { id: 'gone', desired: 'enabled' }, { persist: true });
      await em.flush();
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await ids()).toEqual(['committed']);
  });

  it('take in what is called within them', async () => {
    const failing = test.database.transaction(async () => {
      await insert('inner');
      await test.database.transaction(() => insert('innermost'));
      expect(await ids()).toContain('innermost');
      expect(await test.database.read((em) => em.count(PluginStateEntity, { id: 'inner' }))).toBe(1);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await ids()).not.toContain('inner');
  });

  it('have savepoints', async () => {
    await test.database.transaction(async (em) => {
      await insert('kept');
      await em.transactional(() => insert('kept')).catch(() => {});
      await insert('kept-too');
    });
    expect(await ids()).toEqual(expect.arrayContaining(['kept', 'kept-too']));
  });

  it('refuse a fork, which would wait for itself', async () => {
    const forked = test.database.transaction(async (em) => em.fork().count(PluginStateEntity));
    expect(await code(forked)).toBe('INTERNAL');
    expect(await ids()).toContain('kept');
  });

  it('are rolled back when they take too long, and what is left of them can do nothing', async () => {
    const late = Promise.withResolvers<unknown>();
    const slow = test.database.transaction(async () => {
      await insert('slow');
      // Statements go on, so that it is the whole that takes too long.
      for (let at = 0; at < 20; at++) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        await ids().catch(late.resolve);
      }
    });
    expect(await code(slow)).toBe('DATABASE_TIMEOUT');
    expect(await ids()).not.toContain('slow');
    expect(await late.promise).toMatchObject({ code: 'INTERNAL' });
  });

  it('lose a connection on which nothing happens, and free it for others', async () => {
    const idle = test.database.transaction(
      async () => {
        await insert('idle');
        await new Promise((resolve) => setTimeout(resolve, 1_500));
        await insert('idle-too');
      },
      { timeoutMs: 5_000 },
    );
    const other = ids();
    expect(await code(idle)).toBe('DATABASE_UNAVAILABLE');
    expect(await other).not.toContain('idle');
    expect(await ids()).not.toContain('idle');
  });

  it('are rolled back when a network call begins in them', async () => {
    const server = createServer((_, response) => response.end('ok')).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      const calling = test.database.transaction(async () => {
        await insert('network');
        await (await fetch(url)).text();
      });
      expect(await code(calling)).toBe('INTERNAL');
      expect(await ids()).not.toContain('network');
    } finally {
      server.close();
    }
  });

  it('are rolled back when something asserts that it is outside, even if that is caught', async () => {
    const calling = test.database.transaction(async () => {
      await insert('asserted');
      try {
        assertOutsideTransaction('A long thing');
      } catch {
        // Goes on as if nothing had happened.
      }
    });
    await expect(calling).rejects.toThrow(/A long thing/);
    expect(await ids()).not.toContain('asserted');
  });
});

describe('errors', () => {
  it('keep the kind of a violated constraint, and tell no values', async () => {
    await insert('twice');
    const error = await test.database
      .transaction(async (em) => {
        em.create(
          PluginStateEntity,
          { id: 'twice', desired: 'enabled', config: { key: 'hunter2' } },
          { persist: true },
        );
      })
      .catch((caught: Error) => caught);
    expect(error).toBeInstanceOf(UniqueConstraintViolationException);
    expect(`${(error as Error).message}${(error as Error).stack}`).not.toContain('hunter2');
  });
});
