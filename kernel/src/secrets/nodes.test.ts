import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createTestDatabase, TEST_SERVER } from '../database/testing.js';
import { resolve } from '../di/container.js';
import * as T from '../di/tokens.js';
import { TestKernel } from '../identity/testing.js';

/* Two kernels on one PostgreSQL, which both have the next master key. */
describe.runIf(TEST_SERVER)('secrets on two nodes', () => {
  /** Machines may be busy. */
  const patience = { timeout: 10_000 };
  const [OLD, NEXT] = ['the master key from before, long enough', 'the master key that comes, long enough'];
  let server: { url: string; drop(): Promise<void> };
  let one: TestKernel;
  let other: TestKernel;
  beforeAll(async () => {
    server = await createTestDatabase(TEST_SERVER!);
    const before = await TestKernel.start(() => {}, { url: server.url, masterKey: OLD });
    await before.call('POST', '/api/v1/secrets', { body: { name: 'FIRST', value: 'the first value' } });
    await before.close();
    const start = () =>
      TestKernel.start((config) => Object.assign(config.auth, { previousMasterKey: OLD }), {
        url: server.url,
        masterKey: NEXT,
      });
    one = await start();
    other = await start();
  });
  afterAll(async () => {
    await one.close();
    await other.close();
    await server.drop();
  });
  const vault = (node: TestKernel) => resolve(node.kernel.container, T.SECRET_VAULT);
  const keyOf = (node: TestKernel) => resolve(node.kernel.container, T.MASTER_KEY).id;

  it('are seen by both, and so is what is changed or taken away', async () => {
    expect(vault(other).get('FIRST')!.reveal()).toBe('the first value');
    await one.call('POST', '/api/v1/secrets', { body: { name: 'KEY', value: 'one value', plugins: ['p'] } });
    await vi.waitFor(() => expect(vault(other).get('KEY')?.plugins).toEqual(['p']), patience);
    await one.call('POST', '/api/v1/secrets/KEY/versions', { body: { value: 'another value' } });
    await vi.waitFor(() => expect(vault(other).get('KEY')!.reveal()).toBe('another value'), patience);
    await one.call('DELETE', '/api/v1/secrets/KEY/grants/p');
    await vi.waitFor(() => expect(vault(other).get('KEY')?.plugins).toEqual([]), patience);
    // Its listening connection breaks; what it knows is too old to be used after a second, or it listens again.
    await one.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'atoll identity' and datname = current_database()`,
    );
    await one.call('DELETE', '/api/v1/secrets/KEY');
    await vi.waitFor(async () => {
      await vault(other).fresh();
      expect(vault(other).get('KEY')).toBeUndefined();
    }, patience);
  });

  it('go on through an exchange of the master key, on both', async () => {
    await one.user('ada', ['admin']);
    const { accessToken: early } = await one.login('ada');
    expect(keyOf(one)).toBe(keyOf(other));
    const before = keyOf(one);
    const rotated = await one.call<{ key: string }>('POST', '/api/v1/secrets/rotate');
    expect(rotated.status).toBe(202);
    await vi.waitFor(async () => {
      const { body } = await other.call('GET', '/api/v1/secrets/rotate');
      expect(body).toMatchObject({ state: 'done', left: 0, key: rotated.body.key });
    }, patience);
    await vi.waitFor(() => expect(keyOf(other)).toBe(rotated.body.key), patience);
    expect(keyOf(other)).not.toBe(before);
    const { accessToken: late } = await other.login('ada');
    for (const node of [one, other]) {
      expect(vault(node).get('FIRST')!.reveal()).toBe('the first value');
      for (const as of [early, late]) expect((await node.call('GET', '/api/v1/plugins', { as })).status).toBe(200);
      await node.call('PUT', '/api/v1/roles/any', { body: { permissions: [] } });
      expect((await node.call('GET', '/api/v1/audit/verify')).body).toMatchObject({ intact: true });
    }
  });
});
