import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestDatabase, type TestDatabase } from '../database/testing.js';
import { DatabaseStateStore } from './state-store.js';

let test: TestDatabase;
beforeAll(async () => {
  test = await openTestDatabase();
});
afterAll(() => test.close());

it('keeps what is saved, changes it, and leaves what it is not told of', async () => {
  const store = new DatabaseStateStore(test.database);
  expect(await store.load()).toEqual(new Map());
  await store.save(new Map([['a', { desired: 'enabled', config: { deep: { list: [1, 'two', null] } } }]]));
  await store.save(
    new Map([
      ['a', { desired: 'disabled' }],
      ['b', { desired: 'enabled' }],
    ]),
  );
  await store.save(new Map([['b', { desired: 'disabled', config: {} }]]));
  expect(await new DatabaseStateStore(test.database).load()).toEqual(
    new Map([
      ['a', { desired: 'disabled' }],
      ['b', { desired: 'disabled', config: {} }],
    ]),
  );
});
