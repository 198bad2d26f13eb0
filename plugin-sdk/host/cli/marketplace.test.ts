import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type CliResult, atoll as run, atollJson as runJson } from '../../../test/support/atoll-cli.js';
import { startTestKernel, type TestKernel } from '../../../test/support/kernel.js';
import { type SamplePlugin, writePlugin } from '../../../test/support/packages.js';

let dir: string;
let kernel: TestKernel;
const atoll = (...args: string[]) => run(dir, args);
const atollJson = <T = Record<string, unknown>>(...args: string[]) => runJson<T>(dir, args);
const errorOf = ({ code, stderr }: CliResult) => ({ exit: code, ...(JSON.parse(stderr) as object) });

beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-marketplace-cli-'));
  kernel = await startTestKernel({ env: { ATOLL_DATA_DIR: path.join(dir, 'server') } });
  await writeFile(path.join(dir, 'key'), `${kernel.key}\n`);
});
afterAll(async () => {
  await kernel?.stop();
  await rm(dir, { recursive: true, force: true });
});

const serving = (text: string) => ({
  'src/index.ts': `import { definePlugin } from '@atoll/plugin-sdk';
export default definePlugin(({ http }) => { http.get('/', () => ({ text: ${JSON.stringify(text)} })); });`,
});

async function publish(sample: SamplePlugin, ...flags: string[]): Promise<CliResult> {
  const { id, version = '1.0.0', atoll: field } = sample;
  const whole = { ...sample, version, files: serving(`${id} ${version}`), atoll: { mounts: [`/x/${id}`], ...field } };
  const folder = await writePlugin(dir, whole);
  return atoll('publish', path.relative(dir, folder.dir), ...flags);
}

const says = async (id: string) => ((await (await kernel.call(`/x/${id}`)).json()) as { text?: string }).text;

it('logs in with a key that the server takes, and keeps it for its owner only', async () => {
  expect(await atoll('plugins', 'list')).toMatchObject({ code: 3 });
  const wrong = await atoll('login', '--server', kernel.url, '--key', 'wrong', '--json');
  expect(errorOf(wrong)).toMatchObject({ exit: 4, code: 'UNAUTHENTICATED' });
  const { file } = await atollJson<{ file: string }>('login', '--server', kernel.url, '--key', kernel.key);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({ server: kernel.url, key: kernel.key });
  expect(await atoll('plugins', 'list')).toMatchObject({ code: 0 });
  // The key is for that server alone.
  const other = await startTestKernel({ env: { ATOLL_ADMIN_KEY: 'another-root-key-012345' } });
  try {
    expect((await atoll('plugins', 'list', '--server', other.url)).stderr).toContain('No API key was found');
  } finally {
    await other.stop();
  }
});

it('publishes a folder, which is signed, finds and shows it', async () => {
  const first = await publish({ id: 'tide', packageJson: { description: 'Ebb and flow' } });
  expect(first).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^tide@1\.0\.0 is published\.\n.*publisher\.key/) as string,
  });
  expect((await publish({ id: 'tide', packageJson: { description: 'Ebb and flow' } })).stdout).toBe(
    'tide@1.0.0 was there already.\n',
  );
  expect((await atoll('search', 'tid')).stdout).toMatch(/^ID +VERSION .*\ntide +1\.0\.0 +no +Ebb and flow\n$/);
  expect((await atoll('search', 'nothing-like-it')).stdout).toBe('Nothing was found.\n');
  const { stdout } = await atoll('info', 'tide', '--readme');
  for (const part of ['Ebb and flow', 'latest: 1.0.0', 'signed by ', 'mounts /x/tide', '# tide'])
    expect(stdout).toContain(part);
  expect(errorOf(await atoll('info', 'tde', '--json'))).toMatchObject({ exit: 5, code: 'PLUGIN_NOT_FOUND' });
});

it('shows the plan, wants consent, and installs', async () => {
  const planned = await atoll('install', 'tide', '--dry-run');
  expect(planned).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^install +tide 1\.0\.0 .*\n +asks for mounts \/x\/tide/) as string,
  });
  expect(errorOf(await atoll('install', 'tide', '--json'))).toMatchObject({
    exit: 1,
    code: 'CONSENT_NEEDED',
    hint: expect.stringContaining('--yes') as string,
  });
  expect(await says('tide')).toBeUndefined();
  expect((await atoll('install', 'tide', '--yes')).stdout).toBe('installed tide 1.0.0\ntide@1.0.0 is active.\n');
  expect(await says('tide')).toBe('tide 1.0.0');
  expect((await atoll('install', 'tide', '--yes')).stdout).toContain('Nothing to do');
  await atoll('plugins', 'disable', 'tide');
  await atoll('remove', 'tide');
  expect((await atoll('install', 'tide', '--yes')).stdout).toContain('`atoll plugins enable tide` starts it.');
  await atoll('plugins', 'enable', 'tide');
  expect(errorOf(await atoll('install', 'tide@9.0.0', '--yes', '--json'))).toMatchObject({ exit: 5 });
});

it('upgrades, rolls back, and says what is outdated', async () => {
  expect((await atoll('outdated')).stdout).toBe('Every plugin is up to date.\n');
  await publish({ id: 'tide', version: '1.1.0' });
  expect((await atoll('upgrade', 'tide')).stdout).toBe('upgraded tide 1.0.0 → 1.1.0\ntide@1.1.0 is active.\n');
  expect((await atoll('rollback', 'tide')).stdout).toBe('downgraded tide 1.1.0 → 1.0.0\ntide@1.0.0 is active.\n');
  expect(await says('tide')).toBe('tide 1.0.0');
  expect(errorOf(await atoll('rollback', 'tide', '7.0.0', '--json'))).toMatchObject({
    exit: 5,
    code: 'VERSION_NOT_FOUND',
  });
  await atoll('yank', 'tide@1.1.0', '--reason', 'too high');
  expect(await atollJson('outdated')).toEqual([]);
  await atoll('unyank', 'tide@1.1.0');
  expect(await atollJson('outdated')).toEqual([{ id: 'tide', installed: '1.0.0', wanted: '1.1.0', latest: '1.1.0' }]);
  expect(await atoll('upgrade')).toMatchObject({ code: 2 });
});

it('upgrades all that can be, and tells of the others', async () => {
  await publish({ id: 'moon' });
  await atoll('install', 'moon', '--yes');
  await publish({ id: 'moon', version: '2.0.0', atoll: { permissions: { net: ['https://moon.example'] } } });
  const { code, stdout } = await atoll('upgrade', '--all');
  expect({ code, stdout }).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/moon +1\.0\.0 +2\.0\.0 +moon: perm.*\ntide +1\.0\.0 +1\.1\.0 +done/) as string,
  });
  expect([await says('moon'), await says('tide')]).toEqual(['moon 1.0.0', 'tide 1.1.0']);
  expect((await atoll('info', 'moon')).stdout).toContain('+ net https://moon.example');
  expect(await atollJson('upgrade', '--all', '--yes')).toEqual([
    { id: 'moon', from: '1.0.0', to: '2.0.0', done: true },
  ]);
});

it('removes, with what needs it and with the data', async () => {
  await publish({ id: 'ebb', atoll: { dependencies: { tide: '^1.0.0' } } });
  await atoll('install', 'ebb', '--yes');
  expect(errorOf(await atoll('remove', 'tide', '--json'))).toMatchObject({ exit: 1, code: 'PLUGIN_NEEDED' });
  expect((await atoll('remove', 'tide', '--cascade', '--dry-run')).stdout).toMatch(/remove +ebb.*\nremove +tide/);
  expect(await says('tide')).toBe('tide 1.1.0');
  expect(await atoll('remove', 'tide', '--cascade', '--purge')).toMatchObject({ code: 2 });
  const { purged } = await atollJson<{ purged: unknown }>('remove', 'tide', '--cascade', '--purge', '--yes');
  expect(purged).toEqual([
    { id: 'ebb', rows: 0, bytes: 0 },
    { id: 'tide', rows: 0, bytes: 0 },
  ]);
  expect((await kernel.call('/x/tide')).status).toBe(404);
  expect(errorOf(await atoll('remove', 'tide', '--json'))).toMatchObject({ exit: 5 });
});

it('explains what the marketplace refuses', async () => {
  await writeFile(path.join(dir, 'junk.tgz'), 'junk');
  expect(errorOf(await atoll('publish', 'junk.tgz', '--json'))).toMatchObject({ exit: 1, code: 'PACKAGE_DAMAGED' });
  expect(await atoll('publish', 'absent')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('absent is no file') as string,
  });
  expect(errorOf(await publish({ id: 'moon', version: '1.5.0' }, '--json'))).toMatchObject({
    code: 'PACKAGE_DOWNGRADE',
    hint: expect.stringContaining('--backport') as string,
  });
  expect(await publish({ id: 'moon', version: '1.5.0' }, '--backport')).toMatchObject({ code: 0 });
});

it('logs out', async () => {
  expect((await atoll('logout')).stdout).toContain('is deleted');
  expect((await atoll('logout')).stdout).toBe('You were not logged in.\n');
  expect(await atoll('plugins', 'list')).toMatchObject({ code: 3 });
});
