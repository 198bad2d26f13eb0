import { createHmac } from 'node:crypto';
import { SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MasterKey } from '../auth/index.js';
import { PASSWORD, ROOT_KEY, TestKernel } from './testing.js';

const MASTER = 'master-key-of-these-tests-0123456789';
let test: TestKernel;
beforeAll(async () => {
  test = await TestKernel.start((config) => Object.assign(config.server, { trustProxy: true }), { masterKey: MASTER });
  await test.user('ada', ['admin']);
  await test.user('bob', ['user']);
});
afterAll(() => test.close());

const me = (as: string) => test.call('GET', '/api/v1/auth/me', { as });
const refresh = (refreshToken: string, more: object = {}) =>
  test.call<{ accessToken: string; refreshToken: string; code?: string }>('POST', '/api/v1/auth/refresh', {
    as: null,
    body: { refreshToken, ...more },
  });
const tryLogin = (username: string, password: string, address: string) =>
  test.call('POST', '/api/v1/auth/login', {
    as: null,
    body: { username, password },
    headers: { 'x-forwarded-for': address },
  });

describe('logging in', () => {
  it('gives tokens that the API takes, with the roles of the user, whatever case the name is in', async () => {
    const { accessToken } = await test.login(' ADA ');
    const answer = await me(accessToken);
    expect(answer.body).toMatchObject({
      kind: 'user',
      organisation: 'default',
      roles: ['admin'],
      permissions: ['*'],
      user: { username: 'ada', twoFactor: false },
    });
    expect((await test.call('GET', '/api/v1/users', { as: accessToken })).status).toBe(200);
    expect(JSON.stringify(answer.body)).not.toMatch(/argon2|password/i);
  });

  it('says the same of a wrong password, an unknown user, a disabled one and one without a password', async () => {
    await test.user('carl', ['user']);
    const carl = (await test.identity.users.byUsername('carl'))!;
    await test.call('PATCH', `/api/v1/users/${carl.id}`, { body: { disabled: true } });
    await test.call('POST', '/api/v1/users', { body: { username: 'sso-only', roles: ['user'] } });
    const answers = [
      await tryLogin('ada', 'wrong', '10.1.0.1'),
      await tryLogin('nobody', PASSWORD, '10.1.0.1'),
      await tryLogin('carl', PASSWORD, '10.1.0.1'),
      await tryLogin('sso-only', PASSWORD, '10.1.0.1'),
    ];
    for (const { status, body } of answers) {
      expect(status).toBe(401);
      expect({ ...body, instance: undefined }).toEqual({ ...answers[0]!.body, instance: undefined });
    }
  });

  it.each([
    [{ username: 'ada' }],
    [{ username: 'ada', password: 7 }],
    [{ username: '', password: 'x' }],
    [{ username: 'ada', password: 'x'.repeat(257) }],
    [{ username: 'ada', password: 'x', admin: true }],
    [[]],
  ])('refuses %j', async (body) => {
    expect((await test.call('POST', '/api/v1/auth/login', { as: null, body })).status).toBe(422);
  });

  it('makes those who guess wait, and nobody else', async () => {
    for (let n = 0; n < 5; n++) expect((await tryLogin('bob', `guess ${n}`, '10.2.0.1')).status).toBe(401);
    const locked = await tryLogin('bob', PASSWORD, '10.2.0.1');
    expect(locked.status).toBe(429);
    expect(Number(locked.headers.get('retry-after'))).toBeGreaterThan(0);
    // The owner, elsewhere, and others from there.
    expect((await tryLogin('bob', PASSWORD, '10.2.0.2')).status).toBe(200);
    expect((await tryLogin('ada', PASSWORD, '10.2.0.1')).status).toBe(200);
  });

  it('makes nobody wait for longer because the clock was set back', async () => {
    for (let n = 0; n < 5; n++) await tryLogin('bob', `guess ${n}`, '10.2.5.1');
    const wait = async () => Number((await tryLogin('bob', PASSWORD, '10.2.5.1')).headers.get('retry-after'));
    const before = await wait();
    await test.database.query(
      `update login_throttle set free_at = free_at + interval '1 hour', updated_at = updated_at + interval '1 hour'`,
    );
    expect(await wait()).toBeLessThanOrEqual(before + 2);
    expect(await wait()).toBeGreaterThan(0);
    await test.database.query('delete from login_throttle');
  });

  it('counts guesses that are made at the same time, and those at names that do not exist', async () => {
    const both = await Promise.all(
      ['ada', 'no-such-user'].map((name) =>
        Promise.all(Array.from({ length: 12 }, (_, n) => tryLogin(name, `guess ${n}`, '10.3.0.1'))),
      ),
    );
    for (const answers of both) expect(answers.filter(({ status }) => status === 401)).toHaveLength(5);
  });

  it('makes an address wait that tries many accounts; a /64 is one address', async () => {
    const statuses: number[] = [];
    for (let n = 0; n < 60; n++) statuses.push((await tryLogin(`user-${n}`, 'x', `2001:db8::${n + 1}`)).status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(50);
    expect((await tryLogin('ada', PASSWORD, '2001:db8:0:1::1')).status).toBe(200);
  });
});

describe('access tokens', () => {
  const forge = (header: object, payload: object, key: string | Uint8Array = 'x') => {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const signed = `${part(header)}.${part(payload)}`;
    return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
  };

  it('are worth nothing when altered, unsigned, of another key, audience, issuer or type, or expired', async () => {
    const { accessToken } = await test.login('ada');
    const [header, payload, signature] = accessToken.split('.') as [string, string, string];
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>;
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const own = async (change: object, typ = 'at+jwt') => {
      return new SignJWT({ ...claims, ...change })
        .setProtectedHeader({ alg: 'HS256', typ })
        .sign(new MasterKey(MASTER).derive('access tokens'));
    };
    expect((await me(await own({}))).status).toBe(200);
    const wrong = [
      `${part({ alg: 'none', typ: 'at+jwt' })}.${payload}.`,
      `${part({ alg: 'none', typ: 'at+jwt' })}.${payload}.${signature}`,
      `${header}.${part({ ...claims, sub: 'root' })}.${signature}`,
      forge({ alg: 'HS256', typ: 'at+jwt' }, claims, 'another key'),
      `${header}.${payload}`,
      `${accessToken}x`,
      accessToken.slice(0, -2),
      await own({ aud: 'another-api' }),
      await own({ iss: 'somebody' }),
      await own({ exp: Math.floor(Date.now() / 1000) - 1 }),
      await own({ exp: undefined }),
      await own({ sid: 'no-such-session' }),
      await own({ sub: (await test.identity.users.byUsername('bob'))!.id }),
      await own({ org: 'another' }),
      await own({}, 'JWT'),
      'ey'.repeat(5_000),
    ];
    for (const token of wrong) expect([token, (await me(token)).status]).toEqual([token, 401]);
    expect((await me(accessToken)).status).toBe(200);
  });

  it('end with their session, at once', async () => {
    const first = await test.login('ada');
    const second = await test.login('ada');
    expect((await me(first.accessToken)).status).toBe(200);
    expect((await test.call('POST', '/api/v1/auth/logout', { as: first.accessToken, body: {} })).status).toBe(204);
    expect((await me(first.accessToken)).status).toBe(401);
    expect((await refresh(first.refreshToken)).status).toBe(401);
    expect((await me(second.accessToken)).status).toBe(200);
    expect((await test.call('POST', '/api/v1/auth/logout-all', { as: second.accessToken, body: {} })).status).toBe(204);
    expect((await me(second.accessToken)).status).toBe(401);
  });
});

describe('refresh tokens', () => {
  it('work once and bring the next one; used again, they end the session', async () => {
    const login = await test.login('bob');
    const next = await refresh(login.refreshToken);
    expect(next.status).toBe(200);
    expect((await me(next.body.accessToken)).status).toBe(200);
    const again = await refresh(login.refreshToken);
    expect([again.status, again.body.code]).toEqual([401, 'TOKEN_INVALID']);
    expect((await refresh(next.body.refreshToken)).status).toBe(401);
    expect((await me(next.body.accessToken)).status).toBe(401);
  });

  it('are exchanged by one of many that try at once, and the session ends', async () => {
    const { refreshToken } = await test.login('bob');
    const answers = await Promise.all(Array.from({ length: 8 }, () => refresh(refreshToken)));
    const won = answers.filter(({ status }) => status === 200);
    expect(won).toHaveLength(1);
    expect((await me(won[0]!.body.accessToken)).status).toBe(401);
  });

  it('that are none are refused, and access tokens are none', async () => {
    const { accessToken } = await test.login('bob');
    for (const token of ['x', `atollr_${'A'.repeat(43)}`, ROOT_KEY]) expect((await refresh(token)).status).toBe(401);
    expect((await refresh(accessToken)).status).toBe(422);
    expect((await refresh('x'.repeat(201))).status).toBe(422);
  });

  it('log out, also when they are over', async () => {
    const { accessToken, refreshToken } = await test.login('bob');
    const logout = () => test.call('POST', '/api/v1/auth/logout', { as: null, body: { refreshToken } });
    expect((await logout()).status).toBe(204);
    expect((await me(accessToken)).status).toBe(401);
    expect((await logout()).status).toBe(204);
    expect((await test.call('POST', '/api/v1/auth/logout', { as: null, body: {} })).status).toBe(401);
  });
});

describe('passwords', () => {
  const change = (as: string, currentPassword: string, newPassword: string) =>
    test.call('POST', '/api/v1/auth/password', { as, body: { currentPassword, newPassword } });

  it('are changed by who knows the old one; other sessions end', async () => {
    await test.user('dora', ['user']);
    const here = await test.login('dora');
    const there = await test.login('dora');
    expect((await change(here.accessToken, 'wrong', 'another good one')).status).toBe(401);
    for (const bad of ['short', 'dora-dora-dora', 'aaaaaaaaaaaaaaa'])
      expect((await change(here.accessToken, PASSWORD, bad)).status).toBe(422);
    expect((await change(here.accessToken, PASSWORD, 'another good one')).status).toBe(204);
    expect((await me(here.accessToken)).status).toBe(200);
    expect((await me(there.accessToken)).status).toBe(401);
    expect((await tryLogin('dora', PASSWORD, '10.4.0.1')).status).toBe(401);
    expect((await tryLogin('dora', 'another good one', '10.4.0.1')).status).toBe(200);
  });

  it('are stored as argon2id hashes only', async () => {
    const rows = await test.database.query<{ password_hash: string }>(
      'select password_hash from user_account where password_hash is not null',
    );
    for (const { password_hash } of rows) expect(password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/);
    const refreshTokens = await test.database.query<{ hash: string }>('select hash from refresh_token');
    for (const { hash } of refreshTokens) expect(hash).not.toContain('atollr_');
  });

  it('are not for programs', async () => {
    expect((await change(ROOT_KEY, 'x', 'another good one')).status).toBe(403);
  });
});

describe('sessions', () => {
  it('are listed, and ended one by one by their user only', async () => {
    const ada = await test.login('ada');
    const bob = await test.login('bob');
    const list = async (as: string) =>
      (await test.call<{ items: { id: string }[] }>('GET', '/api/v1/auth/sessions', { as })).body.items;
    const [adas] = await list(ada.accessToken);
    const end = (as: string) => test.call('DELETE', `/api/v1/auth/sessions/${adas!.id}`, { as });
    expect((await end(bob.accessToken)).status).toBe(404);
    expect((await end(ada.accessToken)).status).toBe(204);
    expect((await me(ada.accessToken)).status).toBe(401);
  });
});
