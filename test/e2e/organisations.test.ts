import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { ROLES } from '../../kernel/src/auth/index.js';
import { PASSWORD, TestKernel } from '../../kernel/src/identity/testing.js';
import { type ForeignRequest, type Operation, operationsOf, requestsFor, unknownTo } from '../support/foreign-requests.js';
import type { PluginOnDisk } from '../support/plugin-folder.js';
import { Tenant } from '../support/tenant.js';
import { vaultPlugins } from '../support/vault-plugins.js';

/*
 * One organisation reaches nothing of another one: every operation of the OpenAPI document, with what belongs to the other wherever
 * something can be named, as a member of every role.
 */

interface Caller {
  who: string;
  kind: 'user' | 'key';
  permissions: string[];
  token: string;
  /** Of those who log in. */
  username?: string;
}

let plugins: PluginOnDisk[];
let test: TestKernel;
let acme: Tenant;
let umbra: Tenant;
let operations: Operation[];
const callers: Caller[] = [];

beforeAll(async () => {
  plugins = vaultPlugins();
  test = await TestKernel.start((config) => {
    config.plugins.path = plugins.map(({ dir }) => dir);
    if (process.env.TEST_REDIS_URL) config.redis.url = process.env.TEST_REDIS_URL;
  });
  acme = await Tenant.create(test, 'acme');
  umbra = await Tenant.create(test, 'umbra');
  for (const role of [...Object.keys(ROLES), 'nobody']) await addCaller(`${role}.acme`, await acme.member(role));
  const key = await acme.call('POST', '/api/v1/api-keys', { name: 'all', scopes: ['*'] });
  await addCaller('key.acme', { token: String(key.body.key) });
  // Of the organisation that runs the installation, but not those who run it: all that an organisation can give, and its jobs.
  const clerk = [...(await everythingWithin()), 'jobs.read', 'jobs.manage'];
  await test.call('PUT', '/api/v1/roles/clerk', { body: { permissions: clerk } });
  for (const role of ['user', 'clerk']) {
    await test.user(`${role}.home`, [role]);
    await addCaller(`${role}.home`, { username: `${role}.home`, token: (await test.login(`${role}.home`)).accessToken });
  }
  operations = operationsOf((await test.call('GET', '/openapi.json')).body);
});
afterAll(async () => {
  await test?.close();
  for (const plugin of plugins) plugin.remove();
});

const everythingWithin = async () => (await acme.call('GET', '/api/v1/auth/me')).body.permissions as string[];

async function addCaller(who: string, { username, token }: { username?: string; token: string }): Promise<void> {
  const { permissions, kind } = (await test.call('GET', '/api/v1/auth/me', { as: token })).body;
  callers.push({
    who,
    kind: kind as Caller['kind'],
    permissions: permissions as string[],
    token,
    ...(username !== undefined && { username }),
  });
}

/** Spelled out here, and not by the function that the server uses. */
function may({ permissions }: Caller, { permission }: Operation): boolean {
  if (permission === 'public' || permission === 'signed-in') return true;
  return permissions.includes(permission) || (permission.includes('/') && permissions.includes('*/*'));
}

const send = ({ operation, body }: ForeignRequest, target: string, as: string) =>
  test.call(operation.method, target, { as, ...(body !== undefined && { body }) });

/** What an answer tells, without what was sent. */
function told(answer: { status: number; body: unknown; headers: Headers }, { target, body }: Pick<ForeignRequest, 'target' | 'body'>) {
  const text = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body);
  const whole = `${text}\n${[...answer.headers].join('\n')}`;
  const sent = [...decodeURIComponent(target).split(/[/?&=]/), ...Object.values(body ?? {}).map(String)];
  return sent.filter((part) => part.length > 3).reduce((rest, part) => rest.replaceAll(part, '…'), whole);
}

describe('every operation', () => {
  it('is known to this test', () => {
    const callable = (operation: Operation) => callers.some((caller) => may(caller, operation));
    expect(operations.flatMap((operation) => unknownTo(operation, callable(operation)))).toEqual([]);
    expect(operations.length).toBeGreaterThan(100);
  });

  it('gives, and changes, nothing of another organisation', async () => {
    const before = await umbra.reading();
    const wrong: string[] = [];
    let requests = 0;
    for (const operation of operations) {
      for (const caller of callers) {
        for (const request of requestsFor(operation, umbra, PASSWORD)) {
          requests++;
          wrong.push(...(await problemsOf(request, caller)).map((problem) => `${caller.who}: ${operation.method} ${request.target}: ${problem}`));
        }
      }
    }
    expect(wrong).toEqual([]);
    expect(requests).toBeGreaterThan(operations.length * callers.length);
    expect(await umbra.reading()).toEqual(before);
  }, 300_000);

  async function problemsOf(request: ForeignRequest, caller: Caller): Promise<string[]> {
    const { operation, named, target } = request;
    const account = operation.path.startsWith('/api/v1/auth/');
    const answer = await send(request, target, await tokenOf(caller));
    if (account) await renew(caller);
    const found = umbra.secrets.filter((secret) => told(answer, request).includes(secret));
    const problems = found.map((secret) => `tells "${secret}"`);
    if (answer.status >= 500) problems.push(`fails: ${JSON.stringify(answer.body)}`);
    if (!may(caller, operation)) {
      if (answer.status !== 403) problems.push(`${answer.status} instead of 403`);
    } else if (answer.status === 400 || answer.status === 422) problems.push(`asks nothing: ${JSON.stringify(answer.body)}`);
    else if (named && answer.status !== 404 && !(account && caller.kind === 'key'))
      problems.push(`${answer.status} instead of 404: ${JSON.stringify(answer.body)}`);
    if (named) {
      const twin = await send(request, named.twin, await tokenOf(caller));
      const one = JSON.stringify([answer.status, answer.body]).replaceAll(named.value, '…');
      const other = JSON.stringify([twin.status, twin.body]).replaceAll(named.nothing, '…');
      if (one !== other) problems.push(`${one} where nothing is: ${other}`);
    }
    return problems;
  }

  const tokenOf = async (caller: Caller) => caller.token;

  /** What was called may have ended the session. */
  async function renew(caller: Caller): Promise<void> {
    if (caller.username !== undefined) caller.token = (await test.login(caller.username)).accessToken;
  }
});
