import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createTestDatabase, TEST_SERVER } from '../database/testing.js';
import { TestKernel } from './testing.js';

/* Two kernels on one PostgreSQL: what one takes away, the other does not give. */
describe.runIf(TEST_SERVER)('two nodes', () => {
  const masterKey = 'the-master-key-of-both-nodes-0123456789';
  let server: { url: string; drop(): Promise<void> };
  let one: TestKernel;
  let other: TestKernel;
  beforeAll(async () => {
    server = await createTestDatabase(TEST_SERVER!);
    one = await TestKernel.start(() => {}, { url: server.url, masterKey });
    other = await TestKernel.start(() => {}, { url: server.url, masterKey });
  });
  afterAll(async () => {
    await one.close();
    await other.close();
    await server.drop();
  });

  /** Until the other node has been told; fails by the test's own time limit. */
  const becomes = async (node: TestKernel, as: string, status: number) => {
    while ((await node.call('GET', '/api/v1/plugins', { as })).status !== status)
      await new Promise((resolve) => setTimeout(resolve, 20));
  };

  it('take each other’s tokens and keys, and learn of revocations from each other', async () => {
    const id = await one.user('ada', ['admin']);
    const { accessToken, refreshToken } = await one.login('ada');
    const made = await other.call<{ id: string; key: string }>('POST', '/api/v1/api-keys', {
      as: accessToken,
      body: { name: 'k', scopes: ['*'] },
    });
    const { key } = made.body;
    for (const node of [one, other])
      for (const as of [accessToken, key]) expect((await node.call('GET', '/api/v1/plugins', { as })).status).toBe(200);
    await one.call('DELETE', `/api/v1/api-keys/${made.body.id}`);
    await becomes(other, key, 401);
    await one.call('PATCH', `/api/v1/users/${id}`, { body: { roles: [] } });
    await becomes(other, accessToken, 403);
    await other.call('POST', '/api/v1/auth/logout', { as: null, body: { refreshToken } });
    await becomes(one, accessToken, 401);
  });

  it('do not rely on what they know while they can’t be told', async () => {
    const id = await one.user('eve', ['user']);
    const { accessToken } = await other.login('eve');
    await becomes(other, accessToken, 200);
    // Its listening connection breaks; what happens until it is back is found out all the same.
    await one.database.query(
      `select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'atoll identity' and datname = current_database()`,
    );
    await one.call('PATCH', `/api/v1/users/${id}`, { body: { disabled: true } });
    await becomes(other, accessToken, 401);
  });
});
