import { hash } from 'node:crypto';
import { once } from 'node:events';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { ROLES } from '../../kernel/src/auth/index.js';
import { PASSWORD, TestKernel } from '../../kernel/src/identity/testing.js';
import {
  type ForeignRequest,
  type Operation,
  operationsOf,
  requestsFor,
  unknownTo,
} from '../support/foreign-requests.js';
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
  refreshToken?: string;
}

interface Credentials {
  token: string;
  username?: string;
  refreshToken?: string;
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
    const { accessToken, refreshToken } = await test.login(`${role}.home`);
    await addCaller(`${role}.home`, { username: `${role}.home`, token: accessToken, refreshToken });
  }
  operations = operationsOf((await test.call('GET', '/openapi.json')).body);
});
afterAll(async () => {
  await test?.close();
  for (const plugin of plugins) plugin.remove();
});

const everythingWithin = async () => (await acme.call('GET', '/api/v1/auth/me')).body.permissions as string[];

async function addCaller(who: string, credentials: Credentials): Promise<void> {
  const { permissions, kind } = (await test.call('GET', '/api/v1/auth/me', { as: credentials.token })).body;
  callers.push({ who, kind: kind as Caller['kind'], permissions: permissions as string[], ...credentials });
}

/** Spelled out here, and not by the function that the server uses. */
function may({ permissions }: Caller, { permission }: Operation): boolean {
  if (permission === 'public' || permission === 'signed-in') return true;
  return permissions.includes(permission) || (permission.includes('/') && permissions.includes('*/*'));
}

const send = ({ operation, body }: ForeignRequest, target: string, as: string) =>
  test.call(operation.method, target, { as, ...(body !== undefined && { body }) });

/** What an answer tells, without what was sent. */
function told(
  answer: { status: number; body: unknown; headers: Headers },
  { target, body }: Pick<ForeignRequest, 'target' | 'body'>,
) {
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
        const { username = 'none', refreshToken = 'none' } = caller;
        for (const request of requestsFor(operation, umbra, { username, refreshToken, password: PASSWORD })) {
          requests++;
          wrong.push(
            ...(await problemsOf(request, caller)).map(
              (problem) => `${caller.who}: ${operation.method} ${request.target}: ${problem}`,
            ),
          );
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
    const answer = await send(request, target, caller.token);
    if (account) await renew(caller);
    // The trail of an organisation has what its members have asked for.
    const secrets = operation.path.startsWith('/api/v1/audit') ? umbra.unnamed : umbra.secrets;
    const found = secrets.filter((secret) => told(answer, request).includes(secret));
    const problems = found.map((secret) => `tells "${secret}"`);
    if (answer.status >= 500 && answer.status !== 504) problems.push(`fails: ${JSON.stringify(answer.body)}`);
    if (!may(caller, operation)) {
      if (answer.status !== 403) problems.push(`${answer.status} instead of 403`);
    } else if ((answer.status === 400 || answer.status === 422) && !mayBeInvalid(request))
      problems.push(`asks nothing: ${JSON.stringify(answer.body)}`);
    else if (named && answer.status !== 404 && !(account && caller.kind === 'key'))
      problems.push(`${answer.status} instead of 404: ${JSON.stringify(answer.body)}`);
    if (JSON.stringify(answer.body).includes('"accessToken":"')) problems.push('lets in');
    if (named && may(caller, operation)) {
      const twin = await send(request, named.twin, caller.token);
      const one = brief(answer).replaceAll(named.value, '…');
      const other = brief(twin).replaceAll(named.nothing, '…');
      if (one !== other) problems.push(`${one} where nothing is: ${other}`);
    }
    return problems;
  }

  /** A cursor of another list, and what no organisation has of its own. */
  const mayBeInvalid = ({ target, operation }: ForeignRequest) =>
    target.includes('cursor=') || operation.path.startsWith('/api/v1/marketplace');

  /** `instance` names the request. */
  const brief = ({ status, body }: { status: number; body: object }) =>
    JSON.stringify({ status, ...body, instance: '' });

  /** What was called may have ended the session. */
  async function renew(caller: Caller): Promise<void> {
    if (caller.username === undefined) return;
    const { accessToken, refreshToken } = await test.login(caller.username);
    Object.assign(caller, { token: accessToken, refreshToken });
  }
});

class Listener {
  readonly seen: Record<string, unknown>[] = [];
  #id = 0;

  private constructor(private readonly socket: WebSocket) {
    socket.on('message', (data) => this.seen.push(JSON.parse(data.toString()) as Record<string, unknown>));
  }

  /** Hears all events that it may. */
  static async open(as: string): Promise<Listener> {
    const url = `${test.url.replace('http', 'ws')}/ws`;
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${as}` } });
    const listener = new Listener(socket);
    await once(socket, 'open');
    await listener.ask({ type: 'subscribe', topics: ['**'] });
    return listener;
  }

  async ask(message: object): Promise<Record<string, unknown>> {
    const id = ++this.#id;
    this.socket.send(JSON.stringify({ id, ...message }));
    return vi.waitUntil(() => this.seen.find((one) => one.id === id), 20_000);
  }

  get events(): { type: string; organisation: string; data: Record<string, unknown> }[] {
    return this.seen.filter(({ type }) => type === 'event').map(({ event }) => event) as never;
  }

  close(): void {
    this.socket.terminate();
  }
}

describe('over the WebSocket', () => {
  it('events are heard by the organisation that they are of, those of its jobs too', async () => {
    const listening = callers.filter(({ permissions }) => permissions.includes('events.read'));
    const others = await Promise.all(listening.map(({ token }) => Listener.open(token)));
    const own = await Listener.open(umbra.token);
    const note = { code: 'over the socket', text: `${umbra.mark} told` };
    expect((await umbra.call('POST', '/x/vault/tell', note)).status).toBe(200);
    const job = await umbra.call('POST', '/x/vault/jobs/failing', { code: 'socket', text: `${umbra.mark} failing` });
    const topics = ['vault.told', 'job.queued', 'job.started', 'job.completed', 'job.failed'];
    await vi.waitFor(() => expect(own.events.map(({ type }) => type)).toEqual(expect.arrayContaining(topics)), 20_000);
    expect(own.events.map(({ organisation }) => organisation)).toEqual(own.events.map(() => 'umbra'));
    // What comes later comes after it.
    const sent = await acme.call('POST', '/x/vault/tell', { code: 'last', text: 'last' });
    expect(sent.status).toBe(200);
    const home = callers.find(({ who }) => who === 'user.home')!;
    await test.call('POST', '/x/vault/tell', { as: home.token, body: { code: 'last', text: 'last' } });
    for (const other of others)
      await vi.waitFor(() => expect(other.events.map(({ type }) => type)).toContain('job.completed'), 20_000);
    const heard = JSON.stringify(others.map(({ seen }) => seen));
    for (const secret of [...umbra.secrets, String(job.body.id)]) expect(heard).not.toContain(secret);
    for (const client of [...others, own]) client.close();
  });

  it('channels see the data of who calls', async () => {
    for (const caller of callers.filter(({ permissions }) => permissions.includes('plugins.call'))) {
      const client = await Listener.open(caller.token);
      const listed = await client.ask({ type: 'call', channel: 'vault.list', data: {} });
      const got = await client.ask({ type: 'call', channel: 'vault.get', data: { note: umbra.has.note } });
      expect([listed.type, got.type, got.data]).toEqual(['result', 'result', null]);
      expect(JSON.stringify(listed)).not.toContain(umbra.mark);
      client.close();
    }
  });
});

describe('what a plugin does', () => {
  const listOf = async (as: string) => JSON.stringify((await test.call('GET', '/x/vault/notes', { as })).body);
  const notesOf = async (tenant: Tenant) => (await tenant.reading()).notes!;

  it('when it hears of an event belongs to the organisation of the event: documents, cache, blobs, jobs', async () => {
    const code = 'heard of';
    await umbra.call('POST', '/x/vault/tell', { code, text: `${umbra.mark} heard` });
    await acme.call('POST', '/x/vault/tell', { code, text: `${acme.mark} heard` });
    for (const [tenant, other] of [
      [umbra, acme],
      [acme, umbra],
    ] as const) {
      await vi.waitFor(async () => expect(await notesOf(tenant)).toContain(`sent: ${tenant.mark} heard`), 20_000);
      const notes = await notesOf(tenant);
      expect(notes).toContain(`heard by ${tenant.id}: ${tenant.mark} heard`);
      expect(notes).not.toContain(other.mark);
      expect((await tenant.call('GET', '/x/vault/cache/heard')).body).toEqual({ value: `${tenant.mark} heard` });
      const sha256 = hash('sha256', `heard: ${tenant.mark} heard`);
      expect((await tenant.call('GET', `/x/vault/blobs/${sha256}`)).body).toMatchObject({ info: { sha256 } });
      expect((await other.call('GET', `/x/vault/blobs/${sha256}`)).status).toBe(404);
    }
    const home = callers.find(({ who }) => who === 'clerk.home')!;
    for (const { mark } of [acme, umbra]) expect(await listOf(home.token)).not.toContain(mark);
  });

  it('after it has answered, or when its caller has gone, still belongs to the organisation of the call', async () => {
    const body = { code: 'behind', text: 'written behind' };
    expect((await umbra.call('POST', '/x/vault/behind', body)).status).toBe(200);
    await vi.waitFor(async () => expect(await notesOf(umbra)).toContain('written behind'), 20_000);
    const abandoned = umbra.call('POST', '/x/vault/slow', { code: 'slow', text: 'written too late' });
    expect((await abandoned).status).toBe(504);
    await vi.waitFor(async () => expect(await notesOf(umbra)).toContain('written too late'), 20_000);
    for (const { who, token } of callers.filter(({ permissions }) => permissions.includes('plugins.call')))
      expect([who, await listOf(token)]).toEqual([who, expect.not.stringContaining('written ')]);
  });

  it('for calls of several organisations at the same time stays apart', async () => {
    const calls = Array.from({ length: 40 }, (_, n) => {
      const tenant = n % 2 === 0 ? umbra : acme;
      return tenant.call('POST', '/x/vault/all', { code: `at once ${n}`, text: `${tenant.mark} at once ${n}` });
    });
    for (const { status, body } of await Promise.all(calls)) expect([status, body]).toEqual([200, { ok: true }]);
    for (const [tenant, other] of [
      [umbra, acme],
      [acme, umbra],
    ] as const) {
      const notes = await notesOf(tenant);
      expect(notes.match(/ at once \d+"/g)).toHaveLength(20);
      expect(notes).not.toContain(other.mark);
    }
  });
});
