import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { atoll } from '../../../test/support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../../../test/support/kernel.js';

let kernel: TestKernel;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'atoll-secrets-cli-'));
  kernel = await startTestKernel({
    env: { ATOLL_SECRETS__FROM_FILE__VALUE: 'configured', ATOLL_SECRETS__FROM_FILE__HOSTS: 'b.com' },
  });
});
afterAll(async () => {
  await kernel.stop();
  await rm(folder, { recursive: true, force: true });
});

const run = (args: string, input = '') =>
  atoll(folder, ['secrets', ...args.split(' ')], { ATOLL_URL: kernel.url, ATOLL_ADMIN_KEY: kernel.key }, input);
const json = async (args: string, input = '') => JSON.parse((await run(`${args} --json`, input)).stdout) as unknown;

it('sets, grants, lists and removes secrets, whose values come from stdin', async () => {
  const made = await run('set KEY', 'a long value\n');
  expect(made.code).toBe(0);
  expect(made.stdout).toMatch(
    /^KEY: version 1 is set\.\nIt can't be used yet: no host.*\nIt can't be used yet: no plugin/,
  );
  expect(await json('set KEY --host a.com b.com:8443 --plugin one two', 'another value')).toMatchObject({
    version: 2,
    hosts: ['a.com', 'b.com:8443'],
    plugins: ['one', 'two'],
  });
  expect((await run('grant KEY *')).stdout).toContain('KEY is granted to *, one, two.');
  expect(await json('revoke KEY *')).toEqual({ name: 'KEY', revoked: '*' });
  expect((await run('list')).stdout).toMatch(
    /^NAME +VALUE +HOSTS +PLUGINS\nFROM_FILE +configuration +b\.com +\*\nKEY +version 2 +a\.com, b\.com:8443 +one, two\n$/,
  );
  expect((await run('versions KEY')).stdout).toMatch(/^VERSION.*\n2 \* .*root:root\n1 /);
  expect((await run('activate KEY 1')).stdout).toBe('KEY: version 1 is used.\n');
  expect(await run('remove KEY')).toMatchObject({ code: 2, stderr: expect.stringContaining('Repeat with --yes') });
  expect(await json('remove KEY --yes')).toEqual({ removed: 'KEY' });
  expect(await run('remove KEY --yes')).toMatchObject({ code: 5 });
});

it('says what is wrong, without the value', async () => {
  for (const [args, input, code] of [
    ['set KEY', '', 2],
    ['set KEY', 'short', 1],
    ['set KEY', `two\nlines of it`, 1],
    ['set FROM_FILE', 'a long value', 1],
    ['grant NONE one', '', 5],
  ] as const) {
    const { stderr, code: ended } = await run(args, input);
    expect([args, ended]).toEqual([args, code]);
    if (input !== '') expect(stderr).not.toContain(input);
  }
});

it('exchanges the master key', async () => {
  await run('set KEY', 'a long value');
  const done = (await json('rotate-master')) as { key: string };
  expect(done).toMatchObject({ state: 'done', left: 0 });
  const [version] = (await json('versions KEY')) as { masterKey: string }[];
  expect(version!.masterKey).toBe(done.key);
});
