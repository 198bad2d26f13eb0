import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PASSWORD, ROOT_KEY, TestKernel } from './testing.js';

type List = { items: { id: string; name?: string; key?: string; username?: string }[]; nextCursor?: string };
let test: TestKernel;
let admin: string;
beforeAll(async () => {
  test = await TestKernel.start();
  await test.user('root-admin', ['admin']);
  admin = (await test.login('root-admin')).accessToken;
  for (const id of ['acme', 'umbrella'])
    await test.call('POST', '/api/v1/organisations', { body: { id, name: id.toUpperCase() } });
  await test.user('acme-admin', ['admin'], 'acme');
  await test.user('acme-user', ['user'], 'acme');
  await test.user('umbrella-admin', ['admin'], 'umbrella');
});
afterAll(() => test.close());

const as = async (username: string) => (await test.login(username)).accessToken;
const status = async (method: string, target: string, options = {}) =>
  (await test.call(method, target, options)).status;

describe('users', () => {
  it('are created, shown, changed and removed; passwords are never shown', async () => {
    const body = { username: 'Zoé.Z', password: PASSWORD, name: 'Zoé', email: 'zoe@example.com', roles: ['developer'] };
    const made = await test.call('POST', '/api/v1/users', { as: admin, body });
    expect(made.status).toBe(201);
    const { id } = made.body;
    expect(made.headers.get('location')).toBe(`/api/v1/users/${id}`);
    expect(made.body).toMatchObject({
      username: 'zoé.z',
      name: 'Zoé',
      roles: ['developer'],
      disabled: false,
      home: 'default',
    });
    const zoe = await as('zoé.z');
    const changed = await test.call('PATCH', `/api/v1/users/${id}`, {
      as: admin,
      body: { name: null, roles: ['viewer'] },
    });
    expect(changed.body).toMatchObject({ roles: ['viewer'], email: 'zoe@example.com' });
    expect(changed.body).not.toHaveProperty('name');
    // At once, for tokens that were given before.
    expect((await test.call('GET', '/api/v1/auth/me', { as: zoe })).body.roles).toEqual(['viewer']);
    await test.call('PATCH', `/api/v1/users/${id}`, { as: admin, body: { disabled: true } });
    expect(await status('GET', '/api/v1/auth/me', { as: zoe })).toBe(401);
    expect(await status('DELETE', `/api/v1/users/${id}`, { as: admin })).toBe(204);
    expect(await status('GET', `/api/v1/users/${id}`, { as: admin })).toBe(404);
    for (const { body: shown } of [made, changed]) expect(JSON.stringify(shown)).not.toMatch(/argon2|password|hash/i);
  });

  it('clash by name, in whatever case', async () => {
    const body = { username: 'ROOT-ADMIN', password: PASSWORD };
    expect(await status('POST', '/api/v1/users', { body })).toBe(409);
  });

  it.each([
    [{}],
    [{ username: 'x', password: 'short' }],
    [{ username: 'x'.repeat(101), password: PASSWORD }],
    [{ username: 'a b', password: PASSWORD }],
    [{ username: 'x', password: 12_345_678_901 }],
    [{ username: 'x', password: PASSWORD, roles: ['no-such-role'] }],
    [{ username: 'x', password: PASSWORD, roles: 'admin' }],
    [{ username: 'x', password: PASSWORD, passwordHash: 'x' }],
    [{ username: 'x', password: PASSWORD, email: 'nowhere' }],
  ])('refuse %j', async (body) => {
    expect(await status('POST', '/api/v1/users', { body })).toBe(422);
  });

  it('are listed page by page, each once, and found by text', async () => {
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = await test.call<List>('GET', `/api/v1/users?limit=2&organisation=acme${cursor}`);
      seen.push(...page.body.items.map(({ username }) => username!));
      cursor = page.body.nextCursor ? `&cursor=${page.body.nextCursor}` : '';
    } while (cursor);
    expect(seen).toEqual(['acme-admin', 'acme-user']);
    const found = await test.call<List>('GET', '/api/v1/users?organisation=acme&q=USER');
    expect(found.body.items.map(({ username }) => username)).toEqual(['acme-user']);
    expect((await test.call<List>('GET', '/api/v1/users?organisation=acme&q=%25')).body.items).toEqual([]);
    for (const bad of ['limit=0', 'limit=201', 'limit=x', `cursor=${'x'.repeat(201)}`])
      expect(await status('GET', `/api/v1/users?${bad}`)).toBe(422);
  });

  it('can’t be raised above whoever does it, nor be touched by those below them', async () => {
    await test.call('PUT', '/api/v1/roles/helpdesk', {
      body: { permissions: ['users.read', 'users.manage', 'plugins.read'] },
    });
    const helper = await test.user('helper', ['helpdesk']);
    const token = await as('helper');
    const boss = (await test.identity.users.byUsername('root-admin'))!.id;
    const patch = (id: string, body: object) => status('PATCH', `/api/v1/users/${id}`, { as: token, body });
    expect(await patch(helper, { roles: ['admin'] })).toBe(403);
    expect(await patch(boss, { password: 'taken over now' })).toBe(403);
    expect(await status('DELETE', `/api/v1/users/${boss}`, { as: token })).toBe(403);
    expect(await status('POST', `/api/v1/users/${boss}/reset-totp`, { as: token, body: {} })).toBe(403);
    expect(await status('PUT', '/api/v1/roles/more', { as: token, body: { permissions: ['plugins.manage'] } })).toBe(
      403,
    );
    expect(await status('PUT', '/api/v1/roles/less', { as: token, body: { permissions: ['plugins.read'] } })).toBe(200);
    expect(
      await status('POST', '/api/v1/users', {
        as: token,
        body: { username: 'x', password: PASSWORD, roles: ['operator'] },
      }),
    ).toBe(403);
    expect(await patch(helper, { name: 'Helper' })).toBe(200);
  });
});

describe('organisations', () => {
  it('know nothing of each other', async () => {
    const acme = await as('acme-admin');
    const theirs = (await test.call<List>('GET', '/api/v1/users?organisation=umbrella')).body.items[0]!.id;
    const key = await test.call('POST', '/api/v1/api-keys', {
      as: await as('umbrella-admin'),
      body: { name: 'k', scopes: ['*'] },
    });
    for (const [method, target, body] of [
      ['GET', `/api/v1/users/${theirs}`],
      ['PATCH', `/api/v1/users/${theirs}`, { name: 'x' }],
      ['DELETE', `/api/v1/users/${theirs}`],
      ['POST', `/api/v1/users/${theirs}/logout-all`, {}],
      ['GET', '/api/v1/users?organisation=umbrella'],
      ['POST', '/api/v1/users?organisation=umbrella', { username: 'spy', password: PASSWORD }],
      ['GET', '/api/v1/roles?organisation=umbrella'],
      ['GET', '/api/v1/organisations/umbrella'],
      ['GET', '/api/v1/organisations/no-such'],
      ['GET', `/api/v1/api-keys/${key.body.id}`],
      ['DELETE', `/api/v1/api-keys/${key.body.id}`],
      ['POST', `/api/v1/api-keys/${key.body.id}/rotate`, {}],
      ['GET', '/api/v1/api-keys?organisation=umbrella'],
    ] as const)
      expect([target, await status(method, target, { as: acme, body })]).toEqual([target, 404]);
    const own = await test.call<List>('GET', '/api/v1/organisations', { as: acme });
    expect(own.body.items.map(({ id }) => id)).toEqual(['acme']);
    expect(await status('GET', '/api/v1/auth/me', { as: key.body.key })).toBe(200);
  });

  it('other than the one that runs the installation can’t manage it, whatever their roles are called', async () => {
    const acme = await as('acme-admin');
    const { permissions } = (await test.call<{ permissions: string[] }>('GET', '/api/v1/auth/me', { as: acme })).body;
    for (const never of ['*', 'plugins.manage', 'plugins.inspect', 'database.manage', 'organisations.manage'])
      expect(permissions).not.toContain(never);
    for (const [method, target, body] of [
      ['POST', '/api/v1/plugins/hello/disable', {}],
      ['GET', '/api/v1/plugins/hello/logs'],
      ['GET', '/api/v1/database/backup'],
      ['POST', '/api/v1/organisations', { id: 'mine', name: 'Mine' }],
      ['DELETE', '/api/v1/organisations/acme'],
      ['PUT', '/api/v1/organisations/acme/members/x', { roles: [] }],
    ] as const)
      expect([target, await status(method, target, { as: acme, body })]).toEqual([target, 403]);
    const role = { body: { permissions: ['plugins.manage'] }, as: acme };
    expect(await status('PUT', '/api/v1/roles/sneaky', role)).toBe(422);
  });

  it('share users: roles are those of the organisation that the user acts in', async () => {
    const { id } = (await test.identity.users.byUsername('acme-admin'))!;
    const join = (roles: string[]) =>
      test.call('PUT', `/api/v1/organisations/umbrella/members/${id}`, { body: { roles } });
    expect((await join(['viewer'])).body).toMatchObject({ roles: ['viewer'], home: 'acme' });
    const home = await test.login('acme-admin');
    const there = await test.login('acme-admin', { organisation: 'umbrella' });
    const roles = async (token: string) =>
      (await test.call('GET', '/api/v1/auth/me', { as: token })).body as { roles: string[]; organisation: string };
    expect(await roles(home.accessToken)).toMatchObject({ organisation: 'acme', roles: ['admin'] });
    expect(await roles(there.accessToken)).toMatchObject({ organisation: 'umbrella', roles: ['viewer'] });
    const body = { refreshToken: home.refreshToken, organisation: 'umbrella' };
    const moved = await test.call<{ accessToken: string }>('POST', '/api/v1/auth/refresh', { as: null, body });
    expect(await roles(moved.body.accessToken)).toMatchObject({ organisation: 'umbrella', roles: ['viewer'] });
    // A guest's account is not theirs to change; the membership is.
    const umbrella = await as('umbrella-admin');
    expect(await status('PATCH', `/api/v1/users/${id}`, { as: umbrella, body: { password: 'taken over now' } })).toBe(
      403,
    );
    expect(await status('DELETE', `/api/v1/users/${id}`, { as: umbrella })).toBe(204);
    expect(await status('GET', '/api/v1/auth/me', { as: there.accessToken })).toBe(401);
    expect(await status('GET', `/api/v1/users/${id}?organisation=acme`)).toBe(200);
    expect(
      await status('POST', '/api/v1/auth/login', {
        as: null,
        body: { username: 'acme-admin', password: PASSWORD, organisation: 'umbrella' },
      }),
    ).toBe(401);
  });

  it('go with all that is theirs', async () => {
    await test.call('POST', '/api/v1/organisations', { body: { id: 'gone', name: 'Gone' } });
    await test.user('gone-user', ['user'], 'gone');
    const token = await as('gone-user');
    expect(await status('DELETE', '/api/v1/organisations/gone')).toBe(204);
    expect(await status('GET', '/api/v1/auth/me', { as: token })).toBe(401);
    expect(await status('DELETE', '/api/v1/organisations/default')).toBe(409);
    expect(await status('POST', '/api/v1/organisations', { body: { id: 'acme', name: 'Again' } })).toBe(409);
  });
});

describe('roles', () => {
  it('of an organisation change what members may do, at once', async () => {
    const acme = await as('acme-admin');
    const id = (await test.identity.users.byUsername('acme-user'))!.id;
    const put = (permissions: string[]) =>
      test.call('PUT', '/api/v1/roles/auditor', { as: acme, body: { permissions } });
    expect((await put(['users.read'])).status).toBe(200);
    await test.call('PATCH', `/api/v1/users/${id}`, { as: acme, body: { roles: ['auditor'] } });
    const user = await as('acme-user');
    expect(await status('GET', '/api/v1/users', { as: user })).toBe(200);
    expect(await status('GET', '/api/v1/plugins', { as: user })).toBe(403);
    await put(['plugins.read']);
    expect(await status('GET', '/api/v1/users', { as: user })).toBe(403);
    expect(await status('GET', '/api/v1/plugins', { as: user })).toBe(200);
    expect(await status('DELETE', '/api/v1/roles/auditor', { as: acme })).toBe(204);
    expect(await status('GET', '/api/v1/plugins', { as: user })).toBe(403);
    expect((await test.call('GET', `/api/v1/users/${id}`, { as: acme })).body.roles).toEqual([]);
  });

  it('that are built in stay as they are; unknown permissions are none', async () => {
    expect(await status('PUT', '/api/v1/roles/admin', { body: { permissions: [] } })).toBe(409);
    expect(await status('DELETE', '/api/v1/roles/viewer')).toBe(404);
    expect(await status('PUT', '/api/v1/roles/x', { body: { permissions: ['no.such'] } })).toBe(422);
    expect(await status('PUT', '/api/v1/roles/x', { body: { permissions: ['signed-in'] } })).toBe(422);
    expect(await status('PUT', `/api/v1/roles/${encodeURIComponent('../x')}`, { body: { permissions: [] } })).toBe(422);
  });
});

describe('API keys', () => {
  const create = (token: string, body: object) =>
    test.call<{ id: string; key: string; prefix: string; code?: string }>('POST', '/api/v1/api-keys', {
      as: token,
      body,
    });

  it('act for their owner within their scopes, and only the hash is kept', async () => {
    const { body, status: made } = await create(admin, { name: 'ci', scopes: ['plugins.read'] });
    expect(made).toBe(201);
    expect(body.key.startsWith(body.prefix)).toBe(true);
    expect((await test.call('GET', '/api/v1/auth/me', { as: body.key })).body).toMatchObject({
      kind: 'key',
      id: body.id,
      permissions: ['plugins.read'],
      user: { username: 'root-admin' },
    });
    expect(await status('GET', '/api/v1/plugins', { as: body.key })).toBe(200);
    expect(await status('GET', '/api/v1/users', { as: body.key })).toBe(403);
    const shown = await test.call('GET', `/api/v1/api-keys/${body.id}`, { as: admin });
    expect(shown.body).not.toHaveProperty('key');
    expect(shown.body.lastUsedAt).toBeDefined();
    const rows = await test.database.query('select * from api_key');
    expect(JSON.stringify(rows)).not.toContain(body.key);
  });

  it('can do no more than their owner, now and later', async () => {
    const id = await test.user('shrinking', ['developer']);
    const token = await as('shrinking');
    expect((await create(token, { name: 'k', scopes: ['plugins.manage'] })).status).toBe(403);
    expect((await create(token, { name: 'k', scopes: ['no.such'] })).status).toBe(422);
    const { key } = (await create(token, { name: 'k', scopes: ['*'] })).body;
    expect(await status('GET', '/api/v1/plugins', { as: key })).toBe(200);
    await test.call('PATCH', `/api/v1/users/${id}`, { body: { roles: [] } });
    expect(await status('GET', '/api/v1/plugins', { as: key })).toBe(403);
    await test.call('PATCH', `/api/v1/users/${id}`, { body: { disabled: true } });
    expect(await status('GET', '/api/v1/auth/me', { as: key })).toBe(401);
  });

  it('can’t make stronger keys, nor change the account', async () => {
    const weak = (await create(admin, { name: 'weak', scopes: ['api-keys.own', 'plugins.read'] })).body;
    const strong = (await create(admin, { name: 'strong', scopes: ['*'] })).body;
    expect((await create(weak.key, { name: 'more', scopes: ['*'] })).status).toBe(403);
    expect((await create(weak.key, { name: 'more', scopes: ['plugins.manage'] })).status).toBe(403);
    expect((await create(weak.key, { name: 'same', scopes: ['plugins.read'] })).status).toBe(201);
    expect(await status('POST', `/api/v1/api-keys/${strong.id}/rotate`, { as: weak.key, body: {} })).toBe(403);
    expect(await status('PATCH', `/api/v1/api-keys/${weak.id}`, { as: weak.key, body: { scopes: ['*'] } })).toBe(403);
    expect(await status('POST', '/api/v1/auth/totp/setup', { as: strong.key, body: { password: PASSWORD } })).toBe(403);
  });

  it('are revoked and expire at once', async () => {
    const { key, id } = (await create(admin, { name: 'short', scopes: ['*'] })).body;
    expect(await status('GET', '/api/v1/plugins', { as: key })).toBe(200);
    expect(await status('DELETE', `/api/v1/api-keys/${id}`, { as: admin })).toBe(204);
    expect(await status('GET', '/api/v1/plugins', { as: key })).toBe(401);
    const soon = (
      await create(admin, { name: 'soon', scopes: ['*'], expiresAt: new Date(Date.now() + 900).toISOString() })
    ).body;
    expect(await status('GET', '/api/v1/plugins', { as: soon.key })).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 950));
    expect(await status('GET', '/api/v1/plugins', { as: soon.key })).toBe(401);
    for (const expiresAt of ['2001-01-01T00:00:00Z', 'tomorrow', 7])
      expect((await create(admin, { name: 'past', scopes: ['*'], expiresAt })).status).toBe(422);
  });

  it('are rotated, with a time in which both work when asked for', async () => {
    const first = (await create(admin, { name: 'turning', scopes: ['*'] })).body;
    const rotate = (body: object) =>
      test.call<{ key: string }>('POST', `/api/v1/api-keys/${first.id}/rotate`, { as: admin, body });
    const second = (await rotate({ graceSeconds: 60 })).body;
    for (const { key } of [first, second]) expect(await status('GET', '/api/v1/plugins', { as: key })).toBe(200);
    const third = (await rotate({})).body;
    for (const { key } of [first, second]) expect(await status('GET', '/api/v1/plugins', { as: key })).toBe(401);
    expect(await status('GET', '/api/v1/plugins', { as: third.key })).toBe(200);
  });

  it('that are none, or altered, are worth nothing', async () => {
    const { key } = (await create(admin, { name: 'x', scopes: ['*'] })).body;
    const last = key.at(-1) === 'A' ? 'E' : 'A';
    for (const wrong of [
      `${key}x`,
      key.slice(0, -1) + last,
      key.toUpperCase(),
      `atollk_${'A'.repeat(43)}`,
      ROOT_KEY.slice(1),
    ])
      expect([wrong, await status('GET', '/api/v1/plugins', { as: wrong })]).toEqual([wrong, 401]);
  });

  it('of the organisation itself are made with the root key', async () => {
    const made = await test.call<{ key: string; owner?: string }>('POST', '/api/v1/api-keys?organisation=acme', {
      body: { name: 'service', scopes: ['plugins.read'] },
    });
    expect(made.body).not.toHaveProperty('owner');
    expect((await test.call('GET', '/api/v1/auth/me', { as: made.body.key })).body).toMatchObject({
      organisation: 'acme',
    });
  });
});
