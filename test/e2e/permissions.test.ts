import { once } from 'node:events';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { PERMISSIONS, ROLES } from '../../kernel/src/auth/index.js';
import { PASSWORD, TestKernel } from '../../kernel/src/identity/testing.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

/* Every operation of the OpenAPI document, and every kind of WebSocket message, with a member of every role, of two organisations. */

interface Operation {
  method: string;
  path: string;
  permission: string;
}

const SOURCE = pluginSource(`
  http.get('/read', () => ({ ok: true }));
  http.post('/write', { permission: 'write' }, ({ principal }) => ({ principal }));
  http.delete('/all', { permission: 'purge' }, () => ({ ok: true }));
  ws.channel('read', () => ({ ok: true }));
  ws.channel('write', ({ principal }) => ({ principal }), { permission: 'write' });
  http.post('/tell', async () => { await events.emit('notes.told', {}); return {}; });
`);
const ACCESS = { write: { title: 'Write notes', roles: ['developer', 'user'] }, purge: { title: 'Remove all notes' } };

let plugin: PluginOnDisk;
let test: TestKernel;
let operations: Operation[];
const roles = Object.keys(ROLES);
const organisations = ['default', 'guest'];
const permissions = new Map<string, readonly string[]>();

beforeAll(async () => {
  plugin = writePlugin('notes', SOURCE, {
    access: ACCESS,
    permissions: { events: { publish: ['notes.*'], subscribe: [] } },
  });
  test = await TestKernel.start((config) => Object.assign(config.plugins, { path: [plugin.dir] }));
  expect((await test.call('GET', '/api/v1/plugins/notes')).body).toMatchObject({ state: 'active' });
  await test.call('POST', '/api/v1/organisations', { body: { id: 'guest', name: 'Guest' } });
  for (const organisation of organisations) {
    for (const role of roles) await test.user(`${role}.${organisation}`, [role], organisation);
    await test.user(`nobody.${organisation}`, [], organisation);
    for (const who of [...roles, 'nobody']) {
      const me = await test.call<{ permissions: string[] }>('GET', '/api/v1/auth/me', {
        as: await token(who, organisation),
      });
      permissions.set(`${who}.${organisation}`, me.body.permissions);
    }
  }
  const { paths } = (
    await test.call<{ paths: Record<string, Record<string, Record<string, unknown>>> }>('GET', '/openapi.json')
  ).body;
  operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path,
      permission: (operation['x-atoll-permission'] as string | undefined) ?? 'public',
    })),
  );
});
afterAll(async () => {
  await test.close();
  plugin.remove();
});

const token = async (role: string, organisation: string) => (await test.login(`${role}.${organisation}`)).accessToken;
const tokens = new Map<string, string>();
const tokenOf = async (who: string): Promise<string> => {
  const known = tokens.get(who);
  if (known !== undefined) return known;
  const [role, organisation] = who.split('.') as [string, string];
  const made = await token(role, organisation);
  tokens.set(who, made);
  return made;
};

/** Spelled out here, and not by the function that the server uses. */
function mayBe(who: string, permission: string): boolean {
  if (permission === 'public' || permission === 'signed-in') return true;
  const held = permissions.get(who)!;
  return held.includes(permission) || held.includes('*') || (permission.includes('/') && held.includes('*/*'));
}

/** With ids of nothing, so that what is allowed finds nothing to do. */
const request = ({ method, path }: Operation, as: string | null) => {
  const target = path.replace(/\{[^}]+\}/g, '0-no-such-thing');
  return test.call(method, target, { as, ...(method !== 'GET' && { body: {} }) });
};

it('names a permission for every operation, or says that it is public', () => {
  const known = new Set([...Object.keys(PERMISSIONS), 'signed-in', 'public', 'notes/write', 'notes/purge']);
  expect(operations.filter(({ permission }) => !known.has(permission))).toEqual([]);
  expect(operations.length).toBeGreaterThan(40);
  expect(operations).toContainEqual({ method: 'POST', path: '/x/notes/write', permission: 'notes/write' });
});

it('is as the table says', async () => {
  const columns = [...roles, 'nobody'];
  const row = (cells: string[]) => `| ${cells.join(' | ')} |`;
  const marks = ({ permission }: Operation, organisation: string) =>
    columns.map((role) => (mayBe(`${role}.${organisation}`, permission) ? '✓' : ''));
  const lines = organisations.flatMap((organisation) => [
    '',
    organisation === 'default'
      ? '## Members of the organisation that runs the installation'
      : '## Members of the others',
    '',
    row(['operation', 'permission', ...columns]),
    row(['---', '---', ...columns.map(() => '---')]),
    ...operations.map((operation) =>
      row([`${operation.method} ${operation.path}`, operation.permission, ...marks(operation, organisation)]),
    ),
  ]);
  const text = [
    '# Who may do what',
    '',
    'Written by permissions.test.ts, which also asks the server.',
    ...lines,
    '',
  ].join('\n');
  await expect(text).toMatchFileSnapshot('./permissions.md');
});

it('is enforced for every operation, role and organisation', async () => {
  const wrong: string[] = [];
  for (const operation of operations) {
    for (const who of permissions.keys()) {
      // These may end the session.
      if (operation.path.startsWith('/api/v1/auth')) tokens.delete(who);
      const { status } = await request(operation, await tokenOf(who));
      const expected = mayBe(who, operation.permission);
      const denied = status === 401 || status === 403;
      if (denied === expected) wrong.push(`${who}: ${operation.method} ${operation.path} → ${status}`);
    }
  }
  // Without a body there is nothing to log in with, and logging out needs a session: 422 and 401 by themselves.
  expect(wrong).toEqual([]);
}, 120_000);

it('lets nobody in without credentials but where it is public', async () => {
  for (const operation of operations) {
    const { status } = await request(operation, null);
    if (operation.permission !== 'public') expect([operation.path, status]).toEqual([operation.path, 401]);
    else if (!operation.path.endsWith('/logout')) expect([401, 403]).not.toContain(status);
  }
});

it('has every permission of a plugin offered to those who make roles', async () => {
  const { body } = await test.call<{ items: { name: string }[] }>('GET', '/api/v1/permissions');
  expect(body.items).toContainEqual({ name: 'notes/write', title: 'Write notes', plugin: 'notes' });
  const custom = await test.call('PUT', '/api/v1/roles/purger', {
    body: { permissions: ['plugins.call', 'notes/purge'] },
  });
  expect(custom.status).toBe(200);
  await test.user('purger', ['purger']);
  const as = (await test.login('purger')).accessToken;
  expect((await test.call('DELETE', '/x/notes/all', { as })).status).toBe(200);
  expect((await test.call('POST', '/x/notes/write', { as, body: {} })).status).toBe(403);
});

it('hands plugins who calls', async () => {
  const as = await tokenOf('developer.guest');
  const { body } = await test.call<{ principal: Record<string, unknown> }>('POST', '/x/notes/write', { as, body: {} });
  const { id } = (await test.identity.users.byUsername('developer.guest'))!;
  expect(body.principal).toMatchObject({ kind: 'user', id, user: id, organisation: 'guest', roles: ['developer'] });
  expect(body.principal.permissions).toContain('notes/write');
});

class Client {
  readonly messages: Record<string, unknown>[] = [];
  #waiting: (() => void)[] = [];

  constructor(readonly socket: WebSocket) {
    socket.on('message', (data) => {
      this.messages.push(JSON.parse(data.toString()) as Record<string, unknown>);
      for (const wake of this.#waiting.splice(0)) wake();
    });
  }

  static async open(as: string): Promise<Client> {
    const socket = new WebSocket(`${test.url.replace('http', 'ws')}/ws`, {
      headers: { authorization: `Bearer ${as}` },
    });
    const client = new Client(socket);
    await once(socket, 'open');
    return client;
  }

  async ask(message: { id: number } & Record<string, unknown>): Promise<Record<string, unknown>> {
    this.socket.send(JSON.stringify(message));
    return this.until(({ id }) => id === message.id);
  }

  async until(matches: (message: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.messages.find(matches);
      if (found) return found;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
}

it('is enforced for every WebSocket message and role', async () => {
  const messages = [
    [{ id: 1, type: 'subscribe', topics: ['notes.*'] }, 'events.read'],
    [{ id: 2, type: 'call', channel: 'notes.read', data: {} }, 'plugins.call'],
    [{ id: 3, type: 'call', channel: 'notes.write', data: {} }, 'notes/write'],
    [{ id: 4, type: 'ping' }, 'signed-in'],
  ] as const;
  for (const who of permissions.keys()) {
    const client = await Client.open(await tokenOf(who));
    for (const [message, permission] of messages) {
      const { type, error } = await client.ask(message);
      const may = mayBe(who, permission) && (message.id !== 3 || mayBe(who, 'plugins.call'));
      expect([who, message.id, type === 'error' ? (error as { code: string }).code : 'fine']).toEqual([
        who,
        message.id,
        may ? 'fine' : 'FORBIDDEN',
      ]);
    }
    client.socket.terminate();
  }
});

it('shows events to the organisation that they are of', async () => {
  const [here, there] = [
    await Client.open(await tokenOf('user.default')),
    await Client.open(await tokenOf('user.guest')),
  ];
  for (const client of [here, there]) await client.ask({ id: 1, type: 'subscribe', topics: ['**'] });
  await test.call('POST', '/x/notes/tell', { as: await tokenOf('user.guest'), body: {} });
  const told = await there.until(({ type }) => type === 'event');
  expect(told.event).toMatchObject({ type: 'notes.told', organisation: 'guest' });
  await test.call('POST', '/x/notes/tell', { as: await tokenOf('user.default'), body: {} });
  const own = await here.until(({ type }) => type === 'event');
  expect(own.event).toMatchObject({ type: 'notes.told', organisation: 'default' });
  expect(there.messages.filter(({ type }) => type === 'event')).toHaveLength(1);
  for (const { socket } of [here, there]) socket.terminate();
});

it('closes connections whose login ends, and takes permissions away from those that are open', async () => {
  const id = await test.user('walker', ['user']);
  const { accessToken, refreshToken } = await test.login('walker', { password: PASSWORD });
  const client = await Client.open(accessToken);
  expect((await client.ask({ id: 1, type: 'call', channel: 'notes.read', data: {} })).type).toBe('result');
  await test.call('PATCH', `/api/v1/users/${id}`, { body: { roles: ['viewer'] } });
  // What was changed is looked up right after it was committed, on its own.
  let answer = await client.ask({ id: 2, type: 'call', channel: 'notes.read', data: {} });
  for (let n = 3; answer.type !== 'error' && n < 50; n++)
    answer = await client.ask({ id: n, type: 'call', channel: 'notes.read', data: {} });
  expect(answer).toMatchObject({ type: 'error', error: { code: 'FORBIDDEN' } });
  const closed = once(client.socket, 'close');
  await test.call('POST', '/api/v1/auth/logout', { as: null, body: { refreshToken } });
  expect((await closed)[0]).toBe(1008);
});
