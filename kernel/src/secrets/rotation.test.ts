import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { createTestDatabase, TEST_SERVER } from '../database/testing.js';
import { resolve } from '../di/container.js';
import * as T from '../di/tokens.js';
import { PASSWORD, TestKernel } from '../identity/testing.js';

/* One installation through two exchanges of its master key: of one that Atoll keeps itself, and of one that the operator keeps. */

const SECRETS = 60;
const CONFIGURED = 'the master key that the operator has made, long enough';
const secretValue = (n: number) => `value-of-secret-${n}`;

let dataDir: string;
let server: { url: string; drop(): Promise<void> } | undefined;
let test: TestKernel;
let totp: TOTP;
let user: string;

const file = (name: string) => path.join(dataDir, name);
const vault = () => resolve(test.kernel.container, T.SECRET_VAULT);
const start = async (auth: { masterKey?: string; previousMasterKey?: string } = {}) => {
  test = await TestKernel.start((config) => Object.assign(config.auth, auth), {
    ...(server && { url: server.url }),
    keep: dataDir,
  });
};

beforeAll(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'atoll-rotation-'));
  server = TEST_SERVER ? await createTestDatabase(TEST_SERVER) : undefined;
});
afterAll(async () => {
  await test.close();
  await server?.drop();
  await rm(dataDir, { recursive: true, force: true });
});

interface State {
  key: string;
  state: string;
  left: number;
}
const state = async () => (await test.call<State>('GET', '/api/v1/secrets/rotate')).body;
const done = () =>
  vi.waitFor(async () => {
    const now = await state();
    expect(now).toMatchObject({ state: 'done', left: 0 });
    return now;
  }, 20_000);
const readable = () => {
  for (let n = 0; n < SECRETS; n++) expect(vault().get(`S${n}`)!.reveal()).toBe(secretValue(n));
};
const keys = async () => {
  const rows = await test.database.query<{ key_id: string }>('select distinct key_id from secret_version');
  return rows.map(({ key_id }) => key_id);
};
/** A code counts once, so each try is a step later. */
const secondFactor = async () => {
  await test.database.query('update user_account set totp_last_step = null where id = $1', [user]);
  const body = { username: 'ada', password: PASSWORD, code: totp.generate() };
  return (await test.call('POST', '/api/v1/auth/login', { as: null, body })).status;
};
const audit = async () => (await test.call<{ intact: boolean; entries: number }>('GET', '/api/v1/audit/verify')).body;

it('exchanges a key that Atoll keeps, while everything goes on', async () => {
  await start();
  const { key: first, state: before } = await state();
  expect(before).toBe('done');
  const root = { kind: 'root' as const, id: 'root', roles: [] };
  const numbers = Array.from({ length: SECRETS }, (_, n) => n);
  await Promise.all(
    numbers.map((n) =>
      vault().create({ name: `S${n}`, value: secretValue(n), hosts: ['a.com'], plugins: ['*'] }, root),
    ),
  );
  user = await test.user('ada', ['admin']);
  const { accessToken } = await test.login('ada');
  const setup = (
    await test.call<{ secret: string }>('POST', '/api/v1/auth/totp/setup', {
      as: accessToken,
      body: { password: PASSWORD },
    })
  ).body;
  totp = new TOTP({ secret: Secret.fromBase32(setup.secret) });
  await test.call('POST', '/api/v1/auth/totp/enable', { as: accessToken, body: { code: totp.generate() } });
  expect(await secondFactor()).toBe(200);
  const old = await readFile(file('master.key'), 'utf8');

  const begun = await test.call<State>('POST', '/api/v1/secrets/rotate', { as: accessToken });
  expect(begun.status).toBe(202);
  expect(begun.body.key).not.toBe(first);
  // All along: what is there, what is new, and tokens from before.
  for (let n = 0; n < 5; n++) {
    readable();
    const made = await test.call('POST', '/api/v1/secrets', {
      as: accessToken,
      body: { name: `NEW${n}`, value: 'made meanwhile' },
    });
    expect(made.status).toBe(201);
  }
  const now = await done();
  expect(now.key).toBe(begun.body.key);
  expect(await keys()).toEqual([now.key]);
  readable();
  expect(await secondFactor()).toBe(200);
  expect((await test.call('GET', '/api/v1/plugins', { as: accessToken })).status).toBe(200);
  expect(await audit()).toMatchObject({ intact: true });
  expect(await readFile(file('master.previous.key'), 'utf8')).toBe(old);
  expect(await readFile(file('master.key'), 'utf8')).not.toBe(old);
  for (const name of ['master.key', 'master.previous.key']) expect((await stat(file(name))).mode & 0o777).toBe(0o600);
  expect(existsSync(file('master.key.new'))).toBe(false);
  const { items } = (await test.call<{ items: { action: string; after?: unknown }[] }>('GET', '/api/v1/audit')).body;
  expect(items.find(({ action }) => action === 'secrets.rotate')?.after).toEqual({ id: now.key });
  expect(items.find(({ action }) => action === 'secrets.rotated')?.after).toEqual({ id: now.key, unreadable: 0 });
});

it('finds what was altered in the trail from before the exchange', async () => {
  await test.database.query(`update audit_entry set entry = entry || ' ' where seq = 2`);
  expect(await audit()).toMatchObject({ intact: false, problems: [{ seq: 2 }] });
  await test.database.query('update audit_entry set entry = trim(entry) where seq = 2');
  expect(await audit()).toMatchObject({ intact: true });
  const saved = await test.database.query<{ last_seq: string; sealed: string }>('select * from audit_key');
  expect(saved).toHaveLength(1);
  await test.database.query('update audit_key set last_seq = last_seq - 1');
  expect(await audit()).toMatchObject({ intact: false });
  await test.database.query('update audit_key set last_seq = last_seq + 1');
});

it('needs the key from before no longer', async () => {
  await test.close();
  await rm(file('master.previous.key'));
  await start();
  readable();
  expect(await secondFactor()).toBe(200);
  expect(await audit()).toMatchObject({ intact: true });
  await test.close();
});

it('takes over from a generated key to a configured one, and goes on after a crash', async () => {
  await start({ masterKey: CONFIGURED });
  const before = await state();
  readable();
  expect(await secondFactor()).toBe(200);
  // As a process leaves it that begins and dies.
  const { configured } = resolve(test.kernel.container, T.MASTER_KEY);
  expect(configured).not.toBe(before.key);
  await test.database.query('update master_key_state set active = $1, rotating = true', [configured]);
  await test.database.query(`delete from secret where name like 'NEW%'`);
  expect(await keys()).toEqual([before.key]);
  await test.close();

  await start({ masterKey: CONFIGURED });
  readable();
  const now = await done();
  expect(now.key).toBe(configured);
  expect(await keys()).toEqual([configured]);
  expect(await audit()).toMatchObject({ intact: true });
  const again = await test.call('POST', '/api/v1/secrets/rotate');
  expect([again.status, again.body.detail]).toEqual([409, expect.stringContaining('ATOLL_MASTER_KEY_PREVIOUS')]);
  await test.close();
  await rm(file('master.key'));
});

it('says so when the key is another one, and goes on without the old one only when told to', async () => {
  await start({ masterKey: 'a key that has nothing to do with it, long enough' });
  expect(() => vault().get('S1')!.reveal()).toThrow(expect.objectContaining({ code: 'MASTER_KEY_WRONG' }));
  const create = () => test.call('POST', '/api/v1/secrets', { body: { name: 'LATER', value: 'a later value' } });
  expect((await create()).body).toMatchObject({ status: 500, code: 'MASTER_KEY_WRONG' });
  expect((await test.call('POST', '/api/v1/secrets/rotate')).body).toMatchObject({ code: 'MASTER_KEY_WRONG' });
  await test.call('POST', '/api/v1/secrets/rotate', { body: { withoutOld: true } });
  await vi.waitFor(async () => expect(await state()).toMatchObject({ state: 'incomplete' }), 20_000);
  expect((await state()).left).toBeGreaterThanOrEqual(SECRETS);
  expect((await create()).status).toBe(201);
  expect(vault().get('LATER')!.reveal()).toBe('a later value');
});
