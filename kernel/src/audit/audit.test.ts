import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { resolve } from '../di/container.js';
import * as T from '../di/tokens.js';
import { PASSWORD, TestKernel } from '../identity/testing.js';
import { type AuditEntry, AuditTrail } from './index.js';

let test: TestKernel;
beforeAll(async () => {
  test = await TestKernel.start();
});
afterAll(() => test.close());

type List = { items: AuditEntry[]; nextCursor?: string };
const audit = () => resolve(test.kernel.container, T.AUDIT);
const entries = async (query = ''): Promise<AuditEntry[]> => {
  await audit().flush();
  return (await test.call<List>('GET', `/api/v1/audit?limit=200&${query}`)).body.items;
};
const latest = async (query = ''): Promise<AuditEntry> => (await entries(query))[0]!;

describe('an entry', () => {
  it('says who did what, from where, with what it was before and after, and no secrets', async () => {
    await test.user('boss', ['admin']);
    const { accessToken } = await test.login('boss');
    const traceparent = `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01`;
    const made = await test.call('POST', '/api/v1/users', {
      as: accessToken,
      headers: { traceparent },
      body: { username: 'newcomer', password: PASSWORD, roles: ['user'] },
    });
    const { id } = made.body;
    const boss = (await test.identity.users.byUsername('boss'))!.id;
    expect(await latest()).toMatchObject({
      actor: { kind: 'user', id: boss },
      action: 'users.create',
      target: `user:${id}`,
      outcome: 'done',
      organisation: 'default',
      address: expect.stringMatching(/127\.0\.0\.1/),
      traceId: 'ab'.repeat(16),
      after: { username: 'newcomer', roles: ['user'] },
    });
    await test.call('PATCH', `/api/v1/users/${id}`, { body: { roles: ['viewer'], password: 'another long one' } });
    expect(await latest()).toMatchObject({
      actor: { kind: 'root', id: 'root' },
      action: 'users.update',
      before: { roles: ['user'] },
      after: { roles: ['viewer'], password: '********' },
    });
    const all = await test.database.query('select entry from audit_entry');
    for (const secret of [PASSWORD, 'another long one', accessToken]) expect(JSON.stringify(all)).not.toContain(secret);
  });

  it('is there for every change that is acknowledged, and for none that fails', async () => {
    const { id } = (await test.call('POST', '/api/v1/users', { body: { username: 'shortlived', roles: [] } })).body;
    const key = await test.call('POST', '/api/v1/api-keys', { body: { name: 'k', scopes: ['plugins.read'] } });
    const steps: [string, string, object | undefined, string][] = [
      ['POST', '/api/v1/organisations', { id: 'audited', name: 'A' }, 'organisations.create'],
      ['PATCH', '/api/v1/organisations/audited', { name: 'B' }, 'organisations.update'],
      ['PUT', `/api/v1/organisations/audited/members/${id}`, { roles: [] }, 'organisations.join'],
      ['PUT', '/api/v1/roles/r', { permissions: [] }, 'roles.put'],
      ['DELETE', '/api/v1/roles/r', undefined, 'roles.remove'],
      ['PATCH', `/api/v1/api-keys/${key.body.id}`, { name: 'l' }, 'api-keys.update'],
      ['POST', `/api/v1/api-keys/${key.body.id}/rotate`, {}, 'api-keys.rotate'],
      ['DELETE', `/api/v1/api-keys/${key.body.id}`, undefined, 'api-keys.revoke'],
      ['POST', `/api/v1/users/${id}/logout-all`, {}, 'users.logout-all'],
      ['DELETE', `/api/v1/users/${id}`, undefined, 'users.remove'],
      ['DELETE', '/api/v1/organisations/audited', undefined, 'organisations.remove'],
    ];
    for (const [method, target, body, action] of steps) {
      const before = (await entries()).length;
      expect([action, (await test.call(method, target, { body })).status < 300]).toEqual([action, true]);
      const [entry, ...others] = await entries();
      expect(entry).toMatchObject({ action, outcome: 'done' });
      expect(others).toHaveLength(before);
    }
    const before = (await entries()).length;
    await test.call('PATCH', '/api/v1/organisations/no-such', { body: { name: 'x' } });
    await test.call('POST', '/api/v1/organisations', { body: { id: 'default', name: 'x' } });
    await test.call('POST', '/api/v1/users', { body: { username: 'boss', roles: [] } });
    await test.call('GET', '/api/v1/users');
    expect(await entries()).toHaveLength(before);
  });

  it('is there for refused calls: of nobody, of somebody who may not, and over the WebSocket', async () => {
    await test.user('small', ['viewer']);
    const { accessToken } = await test.login('small');
    const small = (await test.identity.users.byUsername('small'))!.id;
    await test.call('GET', '/api/v1/users', { as: accessToken });
    await test.call('GET', '/api/v1/users', { as: null });
    await test.call('GET', '/api/v1/users', { as: 'atollk_of-nobody' });
    await test.call('POST', '/api/v1/auth/login', { as: null, body: { username: 'small', password: 'wrong' } });
    await test
      .call('GET', '/ws', { as: null, headers: { connection: 'upgrade', upgrade: 'websocket' } })
      .catch(() => {});
    const denied = await entries('outcome=denied');
    expect(denied).toContainEqual(
      expect.objectContaining({
        actor: expect.objectContaining({ id: small }),
        action: 'GET /api/v1/users',
        code: 'FORBIDDEN',
      }),
    );
    const nobody = denied.filter(({ actor, code }) => actor.kind === 'anonymous' && code === 'UNAUTHENTICATED');
    expect(nobody.filter(({ action }) => action === 'GET /api/v1/users').map(({ count = 1 }) => count)).toEqual([1, 1]);
    expect(denied).toContainEqual(
      expect.objectContaining({ action: 'auth.login', target: `user:${small}`, code: 'LOGIN_FAILED' }),
    );
  });

  it('is one for many refusals of a kind', async () => {
    const before = (await entries('outcome=denied')).length;
    await Promise.all(Array.from({ length: 50 }, () => test.call('GET', '/api/v1/roles', { as: null })));
    const now = await entries('outcome=denied');
    expect(now).toHaveLength(before + 2);
    expect(now.slice(0, 2).map(({ count = 1 }) => count)).toEqual([49, 1]);
  });
});

describe('the list', () => {
  it('is filtered, paged, and exported', async () => {
    const all = await entries();
    const seen: number[] = [];
    let cursor = '';
    do {
      const page = await test.call<List>('GET', `/api/v1/audit?limit=7${cursor}`);
      seen.push(...page.body.items.map(({ seq }) => seq));
      cursor = page.body.nextCursor ? `&cursor=${page.body.nextCursor}` : '';
    } while (cursor);
    expect(seen).toEqual(all.map(({ seq }) => seq));
    expect(new Set((await entries('action=users')).map(({ action }) => action.split('.')[0]))).toEqual(
      new Set(['users']),
    );
    const middle = all[10]!;
    expect((await entries(`from=${middle.at}`)).at(-1)!.at >= middle.at).toBe(true);
    expect((await entries(`to=${middle.at}`)).every(({ at }) => at < middle.at)).toBe(true);
    const exported = await test.call<string>('GET', '/api/v1/audit/export?outcome=done');
    expect(exported.headers.get('content-type')).toContain('application/x-ndjson');
    const lines = String(exported.body)
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as AuditEntry).seq);
    expect(lines).toEqual(all.filter(({ outcome }) => outcome === 'done').map(({ seq }) => seq));
    for (const bad of ['limit=0', 'cursor=x', 'cursor=-1', 'from=yesterday', 'outcome=maybe'])
      expect((await test.call('GET', `/api/v1/audit?${bad}`)).status).toBe(422);
  });

  it('shows an organisation its own entries only', async () => {
    await test.call('POST', '/api/v1/organisations', { body: { id: 'acme', name: 'Acme' } });
    await test.user('acme-admin', ['admin'], 'acme');
    const { accessToken } = await test.login('acme-admin');
    await test.call('PUT', '/api/v1/roles/theirs', { as: accessToken, body: { permissions: ['plugins.read'] } });
    const { body } = await test.call<List>('GET', '/api/v1/audit', { as: accessToken });
    expect(body.items.map(({ action }) => action)).toEqual(['roles.put']);
    expect((await test.call('GET', '/api/v1/audit?organisation=default', { as: accessToken })).status).toBe(404);
    expect((await test.call('GET', '/api/v1/audit/verify', { as: accessToken })).status).toBe(403);
  });
});

describe('the chain', () => {
  const verify = async () =>
    (await test.call<{ intact: boolean; problems: { seq?: number; problem: string }[] }>('GET', '/api/v1/audit/verify'))
      .body;
  /** Changes the tables behind the kernel's back, looks, and puts everything back. */
  const tampered = async (...statements: string[]) => {
    await test.database.query('create table kept_entries as select * from audit_entry');
    await test.database.query('create table kept_ends as select * from audit_ends');
    try {
      for (const statement of statements) await test.database.query(statement);
      return await verify();
    } finally {
      for (const [table, kept] of [
        ['audit_entry', 'kept_entries'],
        ['audit_ends', 'kept_ends'],
      ]) {
        await test.database.query(`delete from ${table}`);
        await test.database.query(`insert into ${table} select * from ${kept}`);
        await test.database.query(`drop table ${kept}`);
      }
    }
  };
  beforeEach(() => audit().flush());

  it('is intact, also when many write at once', async () => {
    const names = Array.from({ length: 20 }, (_, n) => `role-${n}`);
    const put = (name: string) =>
      test.call('PUT', `/api/v1/roles/${name}`, { body: { permissions: ['plugins.read'] } });
    for (const { status } of await Promise.all(names.map(put))) expect(status).toBe(200);
    expect(await verify()).toMatchObject({ intact: true, problems: [] });
    const rows = await test.database.query<{ seq: string }>('select seq from audit_entry order by seq');
    expect(rows.map(({ seq }) => Number(seq))).toEqual(rows.map((_, at) => at + 1));
  });

  it.each([
    ['an altered entry', [`update audit_entry set entry = replace(entry, '"done"', '"denied"') where seq = 5`], 5],
    ['an altered column', ["update audit_entry set actor = 'somebody' where seq = 5"], 5],
    ['another hash', [`update audit_entry set hash = 'x' where seq = 5`], 5],
    ['a missing entry', ['delete from audit_entry where seq = 5'], 5],
    ['a missing first entry', ['delete from audit_entry where seq = 1'], 1],
    [
      'two entries that changed places',
      ['update audit_entry set seq = -seq where seq in (5, 6)', 'update audit_entry set seq = 11 + seq where seq < 0'],
      5,
    ],
    ['a missing end', ['delete from audit_entry where seq > (select last_seq - 2 from audit_ends)'], undefined],
    [
      'a missing end that is not owned to',
      [
        'delete from audit_entry where seq = (select last_seq from audit_ends)',
        'update audit_ends set last_seq = last_seq - 1, last_hash = (select hash from audit_entry order by seq desc limit 1)',
      ],
      undefined,
    ],
    [
      'a beginning that is not owned to',
      ['delete from audit_entry where seq < 4', 'update audit_ends set first_seq = 4'],
      undefined,
    ],
    ['everything missing', ['delete from audit_entry'], 1],
    [
      'an added entry',
      [
        `insert into audit_entry select 0, at, organisation, actor, action, outcome, entry, hash from audit_entry where seq = 3`,
      ],
      undefined,
    ],
    ['no ends', ['delete from audit_ends'], undefined],
  ])('tells of %s', async (_, statements, seq) => {
    const report = await tampered(...statements);
    expect(report.intact).toBe(false);
    if (seq !== undefined) expect(report.problems[0]!.seq).toBe(seq);
    expect(report.problems.length).toBeGreaterThan(0);
    expect(await verify()).toMatchObject({ intact: true });
  });

  it('goes on intact when old entries are forgotten', async () => {
    const all = await entries();
    const before = new Date(all[all.length - 10]!.at);
    const gone = await audit().trail.forget(before);
    expect(gone).toBeGreaterThan(0);
    await test.call('PUT', '/api/v1/roles/after', { body: { permissions: [] } });
    expect(await verify()).toMatchObject({ intact: true, firstSeq: gone + 1 });
    expect((await entries()).at(-1)!.seq).toBe(gone + 1);
    expect(await audit().trail.forget(before)).toBe(0);
  });

  it('can’t be continued by somebody with another key', async () => {
    const { MasterKey } = await import('../auth/index.js');
    const other = new AuditTrail(test.database, new MasterKey('the key of somebody else, long enough'));
    const { seq } = await latest();
    await other.write({ address: 'x' }, { action: 'forged' }, 'done');
    const report = await verify();
    expect(report.intact).toBe(false);
    expect(report.problems.some((problem) => problem.seq === seq + 1)).toBe(true);
  });
});
