import { createHmac } from 'node:crypto';
import { Secret } from 'otpauth';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PASSWORD, TestKernel } from './testing.js';

let test: TestKernel;
let number = 0;
let username: string;
let accessToken: string;
beforeAll(async () => {
  test = await TestKernel.start((config) => Object.assign(config.server, { trustProxy: true }));
});
afterAll(() => test.close());
beforeEach(async () => {
  username = `user-${number++}`;
  await test.user(username, ['user']);
  accessToken = (await test.login(username)).accessToken;
});

/** RFC 6238, by the book. */
function codeOf(secret: string, steps = 0): string {
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac('sha1', Buffer.from(Secret.fromBase32(secret).bytes))
    .update(counter)
    .digest();
  const at = mac.at(-1)! & 15;
  return String((mac.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, '0');
}

const post = (path: string, body: object) =>
  test.call<{ secret: string; uri: string; recoveryCodes: string[]; code: string }>(
    'POST',
    `/api/v1/auth/totp/${path}`,
    {
      as: accessToken,
      body,
    },
  );
const logIn = (more: object = {}, address = '10.0.0.1') =>
  test.call('POST', '/api/v1/auth/login', {
    as: null,
    body: { username, password: PASSWORD, ...more },
    headers: { 'x-forwarded-for': address },
  });

async function enable(): Promise<{ secret: string; recoveryCodes: string[] }> {
  const { secret } = (await post('setup', { password: PASSWORD })).body;
  // The code of the step before: the current one is still good for a login.
  const { status, body } = await post('enable', { code: codeOf(secret, -1) });
  expect(status).toBe(200);
  return { secret, recoveryCodes: body.recoveryCodes };
}

describe('a second factor', () => {
  it('is set up with the password, and counts when a code has shown that the app works', async () => {
    expect((await post('setup', { password: 'wrong' })).status).toBe(401);
    expect((await post('enable', { code: '123456' })).status).toBe(409);
    const { secret, uri } = (await post('setup', { password: PASSWORD })).body;
    expect(uri).toContain(`otpauth://totp/Atoll:${username}?`);
    expect(uri).toContain(secret);
    expect((await logIn()).status).toBe(200);
    expect((await post('enable', { code: codeOf(secret, 100) })).status).toBe(401);
    expect((await post('enable', { code: codeOf(secret) })).status).toBe(200);
    expect((await logIn()).body.code).toBe('SECOND_FACTOR_NEEDED');
    expect((await post('setup', { password: PASSWORD })).status).toBe(409);
    const rows = await test.database.query('select totp_secret from user_account');
    expect(JSON.stringify(rows)).not.toContain(secret);
  });

  it('is needed beside the password, and each code works once', async () => {
    const { secret } = await enable();
    const wrongPassword = await logIn({ password: 'wrong', code: codeOf(secret) });
    expect([wrongPassword.status, wrongPassword.body.code]).toEqual([401, 'LOGIN_FAILED']);
    const code = codeOf(secret);
    expect((await logIn({ code })).status).toBe(200);
    expect((await logIn({ code })).status).toBe(401);
    expect((await logIn({ code: codeOf(secret, -2) })).status).toBe(401);
    expect((await logIn({ code: 'abcdef' })).status).toBe(401);
    expect((await logIn({ code: '12345' })).status).toBe(422);
  });

  it('keeps nobody out whose last code is from before the clock was set back', async () => {
    const { secret } = await enable();
    await test.database.query('update user_account set totp_last_step = totp_last_step + 120 where username = $1', [
      username,
    ]);
    const code = codeOf(secret);
    expect((await logIn({ code })).status).toBe(200);
    expect((await logIn({ code })).status).toBe(401);
  });

  it('has recovery codes, each for one login, however they are typed', async () => {
    const { recoveryCodes } = await enable();
    expect(new Set(recoveryCodes).size).toBe(10);
    const [first, second] = recoveryCodes as [string, string];
    expect((await logIn({ recoveryCode: first.toUpperCase().replaceAll('-', ' ') })).status).toBe(200);
    expect((await logIn({ recoveryCode: first })).status).toBe(401);
    const rows = await test.database.query('select hash from recovery_code');
    expect(JSON.stringify(rows)).not.toContain(second);
    const other = `user-${number++}`;
    await test.user(other, ['user']);
    expect((await logIn({ username: other, recoveryCode: second })).status).toBe(200);
    expect((await logIn({ recoveryCode: second })).status).toBe(200);
  });

  it('gives new recovery codes, and is disabled, with a code only', async () => {
    const { secret, recoveryCodes } = await enable();
    expect((await post('recovery-codes', { code: '000000' })).status).toBe(401);
    expect((await post('disable', { code: '000000' })).status).toBe(401);
    const renewed = (await post('recovery-codes', { code: codeOf(secret) })).body.recoveryCodes;
    expect((await logIn({ recoveryCode: recoveryCodes[0] })).status).toBe(401);
    expect((await logIn({ recoveryCode: renewed[0] })).status).toBe(200);
    expect((await post('disable', { code: codeOf(secret, 1) })).status).toBe(204);
    expect((await logIn()).status).toBe(200);
  });

  it('can’t be guessed from many addresses', async () => {
    const { secret } = await enable();
    const statuses: number[] = [];
    for (let n = 0; n < 8; n++) statuses.push((await logIn({ code: `00000${n}` }, `10.1.${n}.1`)).status);
    expect(statuses).toEqual([401, 401, 401, 401, 401, 429, 429, 429]);
    expect((await logIn({ code: codeOf(secret) }, '10.2.0.1')).status).toBe(429);
  });

  it('is taken away by an administrator for those who lost it; their sessions end', async () => {
    await enable();
    const { id } = (await test.identity.users.byUsername(username))!;
    expect((await test.call('POST', `/api/v1/users/${id}/reset-totp`, { body: {} })).status).toBe(204);
    expect((await test.call('GET', '/api/v1/auth/me', { as: accessToken })).status).toBe(401);
    expect((await logIn()).status).toBe(200);
  });
});
