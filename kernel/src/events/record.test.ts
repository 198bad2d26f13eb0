import type { CloudEvent } from '@atoll/plugin-sdk/contract';
import { Type } from 'typebox';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { afterCommit } from '../database/index.js';
import { openTestDatabase, type TestDatabase } from '../database/testing.js';
import { EventBus } from './bus.js';
import type { EventTransport } from './transport.js';

let test: TestDatabase;
let bus: EventBus;
let done: string[];
beforeAll(async () => {
  test = await openTestDatabase();
});
afterAll(() => test.close());
beforeEach(() => {
  done = [];
  const transport: EventTransport = {
    publish: ({ type }, durable) => void done.push(`published ${type}${durable ? ' durably' : ''}`),
    keep: async ({ type }) => void done.push(`kept ${type}`),
    onReceive: () => {},
    close: async () => {},
  };
  const transactions = { run: <T>(work: () => Promise<T>) => test.database.transaction(work), afterCommit };
  bus = new EventBus({ queueLimit: 10, transport, transactions });
  bus.subscribe('**', ({ type }: CloudEvent) => done.push(`heard ${type}`));
});

it('an event of a transaction is kept with it, and published when it is committed', async () => {
  await test.database.transaction(async () => {
    await bus.record('user.created', 1);
    await bus.record('note.added', 2);
    await bus.idle();
    expect(done).toEqual(['kept user.created']);
    done.push('end');
  });
  await bus.idle();
  expect(done.sort()).toEqual(
    ['kept user.created', 'end', 'heard user.created', 'heard note.added', 'published note.added'].sort(),
  );
});

it('one of a transaction that is rolled back never was', async () => {
  const failing = test.database.transaction(async () => {
    await bus.record('note.added', 1);
    throw new TypeError('no');
  });
  await expect(failing).rejects.toThrow('no');
  await bus.idle();
  expect(done).toEqual([]);
});

it('a change and its events are one transaction, where they are kept', async () => {
  const failing = bus.together(async () => {
    await test.database.query('create table changed (id int)');
    await bus.record('user.created', 1);
    throw new TypeError('no');
  });
  await expect(failing).rejects.toThrow('no');
  await bus.idle();
  expect(done).toEqual(['kept user.created']);
  expect(await test.database.query(`select to_regclass('changed') as found`)).toEqual([{ found: null }]);
});

it('without a transaction it is published at once', async () => {
  await bus.record('note.added', 1);
  await bus.idle();
  expect(done).toEqual(['published note.added', 'heard note.added']);
});

it('what reports changes of state is durable, unless its topic says otherwise', async () => {
  bus.defineTopic('job.progress', Type.Unknown(), { durable: false });
  bus.defineTopic('note.added', Type.Unknown(), { durable: true });
  for (const topic of ['plugin.swapped', 'job.progress', 'note.added', 'note.read', 'users.counted'])
    bus.emit(topic, 1);
  await bus.idle();
  expect(done.filter((one) => one.startsWith('published'))).toEqual([
    'published plugin.swapped durably',
    'published job.progress',
    'published note.added durably',
    'published note.read',
    'published users.counted',
  ]);
});
