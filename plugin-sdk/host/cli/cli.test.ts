import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile, utimes } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

const MAIN = fileURLToPath(new URL('../../dist-host/cli/main.js', import.meta.url));

let dir: string;
const children = new Set<ChildProcess>();

beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-cli-'));
});

afterEach(async () => {
  for (const child of children) child.kill('SIGKILL');
  children.clear();
  await rm(dir, { recursive: true, force: true });
});

function start(args: string[], env: Record<string, string> = {}) {
  const { PATH, HOME, NODE_COMPILE_CACHE } = process.env;
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: dir,
    env: { PATH, HOME, NODE_COMPILE_CACHE, ATOLL_DATA_DIR: path.join(dir, 'data'), ...env },
  });
  children.add(child);
  const printed = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk: Buffer) => (printed.stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (printed.stderr += chunk.toString()));
  return { child, printed };
}

async function atoll(args: string[], env?: Record<string, string>) {
  const { child, printed } = start(args, env);
  const [code] = (await once(child, 'close')) as [number];
  children.delete(child);
  return { code, ...printed };
}

async function until(what: () => boolean, why: () => string): Promise<void> {
  for (let left = 800; left > 0; left--) {
    if (what()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`It did not happen: ${why()}`);
}

describe('usage', () => {
  it('is explained, with exit code 2', async () => {
    const { code, stderr } = await atoll(['plugins', 'lst']);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("unknown command 'lst' (Did you mean list?)") as string,
    });
  });

  it.each([[['plugins']], [['plugins', 'logs', 'x', '--limit', '0']], [['create']], [['--nonsense']]])(
    'is told as JSON when asked: %j',
    async (args) => {
      const { code, stdout, stderr } = await atoll([...args, '--json']);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(JSON.parse(stderr)).toHaveProperty('error');
    },
  );

  it('is printed on request, with exit code 0', async () => {
    expect(await atoll(['--help'])).toMatchObject({
      code: 0,
      stderr: '',
      stdout: expect.stringContaining('create [options] <name>') as string,
    });
  });
});

describe('create and build', () => {
  it('writes a plugin that builds, and tells what is next', async () => {
    const created = await atoll(['create', 'my-plugin']);
    expect(created).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('npm run atoll -- dev my-plugin') as string,
    });
    const built = await atoll(['build', 'my-plugin', '--out', 'out', '--json']);
    expect(JSON.parse(built.stdout)).toMatchObject({
      id: 'my-plugin',
      version: '0.1.0',
      out: path.join(dir, 'out/my-plugin.js'),
    });
    expect(existsSync(path.join(dir, 'out/my-plugin.js.map'))).toBe(true);
    expect(JSON.parse(await readFile(path.join(dir, 'my-plugin/package.json'), 'utf8'))).toMatchObject({
      atoll: { title: 'My Plugin' },
    });
  });

  it('refuses names that are no ids, and folders that exist', async () => {
    expect(await atoll(['create', 'My_Plugin'])).toMatchObject({ code: 2 });
    await mkdir(path.join(dir, 'taken'));
    expect(await atoll(['create', 'taken'])).toMatchObject({ code: 1 });
  });

  it('says what does not build, and where', async () => {
    await atoll(['create', 'broken']);
    await writeFile(path.join(dir, 'broken/src/index.ts'), 'export default {');
    const { code, stderr } = await atoll(['build', 'broken', '--json']);
    expect({ code, error: JSON.parse(stderr) as unknown }).toMatchObject({
      code: 1,
      error: { code: 'BUNDLE_FAILED', error: expect.stringContaining('src/index.ts:1:17') as string },
    });
  });
});

describe('against a server', () => {
  let server: Server;
  let seen: IncomingMessage[];
  let answer: (request: IncomingMessage) => { status?: number; body: unknown };
  const call = (args: string[], env?: Record<string, string>) => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return atoll(['plugins', ...args, '--server', url], env);
  };

  beforeEach(async () => {
    seen = [];
    server = createServer((request, response) => {
      seen.push(request);
      const { status = 200, body } = answer(request);
      response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });

  afterEach(() => server.close());

  it('lists all pages, aligned', async () => {
    answer = ({ url }) =>
      url!.includes('cursor=a')
        ? { body: { items: [{ id: 'much-longer', version: '1.0.0', state: 'pending', reason: 'It waits.' }] } }
        : { body: { items: [{ id: 'a', version: '10.0.0', state: 'active' }], nextCursor: 'a' } };
    const { code, stdout } = await call(['list']);
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      'ID           VERSION  STATE    REASON',
      'a            10.0.0   active',
      'much-longer  1.0.0    pending  It waits.',
      '',
    ]);
    expect(JSON.parse((await call(['list', '--json'])).stdout)).toHaveLength(2);
  });

  it.each([
    [401, 'UNAUTHENTICATED', 4],
    [403, 'FORBIDDEN', 4],
    [404, 'PLUGIN_NOT_FOUND', 5],
    [409, 'PLUGIN_NEEDED', 1],
    [502, 'PLUGIN_START_FAILED', 1],
  ])('turns status %i into an error with a hint and exit code', async (status, problem, exit) => {
    answer = () => ({ status, body: { code: problem, detail: 'What happened.' } });
    const { code, stderr } = await call(['disable', 'x', '--key', 'k', '--json']);
    expect(code).toBe(exit);
    expect(JSON.parse(stderr)).toEqual({ error: 'What happened.', code: problem, hint: expect.any(String) as string });
  });

  it('finds the key: --key, the environment, the data directory', async () => {
    answer = () => ({ body: { items: [] } });
    await call(['list']);
    await mkdir(path.join(dir, 'data'));
    await writeFile(path.join(dir, 'data/root.key'), 'from-file\n');
    await call(['list']);
    await call(['list'], { ATOLL_ADMIN_KEY: 'from-env' });
    await call(['list', '--key', 'from-flag'], { ATOLL_ADMIN_KEY: 'from-env' });
    const keys = [undefined, 'Bearer from-file', 'Bearer from-env', 'Bearer from-flag'];
    expect(seen.map(({ headers }) => headers.authorization)).toEqual(keys);
  });

  it('says that a key is missing', async () => {
    answer = () => ({ status: 401, body: { code: 'UNAUTHENTICATED', detail: 'Credentials needed.' } });
    expect(await call(['list'])).toMatchObject({
      code: 4,
      stderr: expect.stringContaining('pass --key, set ATOLL_ADMIN_KEY') as string,
    });
  });

  it('says that something else answers', async () => {
    answer = () => ({ body: '<html>' });
    expect(await call(['list'])).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('is no Atoll server') as string,
    });
  });

  it('follows a log, each line once', async () => {
    const lines = Array.from({ length: 6 }, (_, at) => ({
      time: 'T',
      level: 'info',
      message: at < 2 ? 'same' : `line ${at}`,
    }));
    let polls = 0;
    answer = () => ({ body: { items: lines.slice(0, 2 + 2 * polls++) } });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const { printed } = start(['plugins', 'logs', 'x', '--follow', '--server', url]);
    await until(
      () => printed.stdout.includes('line 5'),
      () => printed.stderr,
    );
    expect(
      printed.stdout
        .trim()
        .split('\n')
        .map((line) => line.slice('T info  '.length)),
    ).toEqual(['same', 'same', 'line 2', 'line 3', 'line 4', 'line 5']);
  });
});

it('says how to start a server when there is none', async () => {
  const { code, stderr } = await atoll(['plugins', 'list'], { ATOLL_PORT: '1' });
  expect({ code, stderr }).toEqual({
    code: 3,
    stderr:
      'error: No server answers at http://127.0.0.1:1.\nStart one with `npm start`, or name another with --server.\n',
  });
});

it('prints the configuration without secrets', async () => {
  const { code, stdout } = await atoll(['config', 'print', '--json'], {
    ATOLL_ADMIN_KEY: 'a-very-secret-root-key',
    ATOLL_PORT: '8080',
  });
  expect(code).toBe(0);
  expect(stdout).not.toContain('a-very-secret-root-key');
  expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ key: 'server.port', value: 8080 }));
});

it('develops: create, dev, list, swap on save, logs, stop', async () => {
  await atoll(['create', 'greeter']);
  const source = path.join(dir, 'greeter/src/index.ts');
  // As if it was saved after it had been loaded, and before the watching began.
  const soon = new Date(Date.now() + 600_000);
  await utimes(source, soon, soon);
  const { child, printed } = start(['dev', 'greeter'], { ATOLL_PORT: '0' });
  const swaps = () => printed.stdout.split('↻ greeter active').length - 1;
  const all = () => printed.stdout + printed.stderr;
  await until(() => /greeter@0\.1\.0 .*active/.test(all()), all);
  const url = /http:\/\/[\d.:]+/.exec(printed.stdout)![0];
  const operate = (...args: string[]) => atoll(['plugins', ...args, '--server', url, '--json']);
  const key = (await readFile(path.join(dir, 'data/root.key'), 'utf8')).trim();
  const greet = async () => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
    const reply = await fetch(`${url}/api/v1/greeter/hello`, { method: 'POST', headers, body: '{"name":"Ada"}' });
    return ((await reply.json()) as { hello: string }).hello;
  };
  expect(await greet()).toBe('Hello, Ada!');
  await until(() => swaps() === 1, all);
  await writeFile(source, (await readFile(source, 'utf8')).replace('Hello, ', 'Ahoy, '));
  await until(() => swaps() === 2, all);
  expect(await greet()).toBe('Ahoy, Ada!');
  expect(JSON.parse((await operate('show', 'greeter')).stdout)).toMatchObject({
    id: 'greeter',
    state: 'active',
    origin: 'third-party',
  });

  expect(JSON.parse((await operate('logs', 'greeter')).stdout)).toContainEqual(
    expect.objectContaining({ message: 'greeting' }),
  );
  expect(JSON.parse((await operate('disable', 'greeter')).stdout)).toMatchObject({ state: 'stopped' });
  expect(await operate('show', 'gretter')).toMatchObject({ code: 5 });
  child.kill('SIGTERM');
  const [code] = (await once(child, 'exit')) as [number];
  expect(code).toBe(0);
}, 90_000);
