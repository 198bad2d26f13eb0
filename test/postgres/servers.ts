import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';

/** A server that the tests may use. */
export interface TestServer {
  url: string;
  /** For people: which one, and whose. */
  what: string;
  /** Ends it when it was started here. */
  stop(): Promise<void>;
}

const LOCAL_POSTGRES = 'postgres://postgres@127.0.0.1:5432/postgres';
const LOCAL_REDIS = 'redis://127.0.0.1:6379';
const START_MS = 20_000;

/** The one named, else the one at the usual local address, else one of our own. Rejects when there is none. */
export async function usePostgres(named: string | undefined): Promise<TestServer> {
  for (const url of named ? [named] : [LOCAL_POSTGRES]) {
    const problem = await postgresProblem(url);
    if (problem === undefined) return running(url);
    if (named) throw new Error(`No PostgreSQL at TEST_DATABASE_URL: ${problem}`);
  }
  const bin = postgresBin();
  if (!bin)
    throw new Error(
      'No PostgreSQL answers at 127.0.0.1:5432 as user postgres, and none is installed to start: set TEST_DATABASE_URL, or install postgresql.',
    );
  return startPostgres(bin);
}

export async function useRedis(named: string | undefined): Promise<TestServer> {
  const url = named ?? LOCAL_REDIS;
  if (await answersPing(new URL(url))) return running(url);
  if (named) throw new Error(`No Redis answers at TEST_REDIS_URL.`);
  if (!onPath('redis-server'))
    throw new Error(
      'No Redis answers at 127.0.0.1:6379, and none is installed to start: set TEST_REDIS_URL, or install redis-server.',
    );
  const port = await freePort();
  const child = spawn(
    'redis-server',
    ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    { stdio: 'ignore' },
  );
  const own = new URL(`redis://127.0.0.1:${port}`);
  await until(() => answersPing(own), 'Redis did not start.');
  return { url: own.href, what: `started on port ${port}`, stop: () => end(child) };
}

const running = (url: string): TestServer => ({ url, what: `the one at ${new URL(url).host}`, stop: async () => {} });

async function postgresProblem(url: string): Promise<string | undefined> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 3_000 });
  try {
    await client.connect();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message || String((error as { code?: string }).code) : String(error);
  } finally {
    await client.end().catch(() => {});
  }
}

/** Debian keeps the server's programs of each version in a folder of their own. */
function postgresBin(): string | undefined {
  const base = '/usr/lib/postgresql';
  const versions = existsSync(base) ? readdirSync(base).sort((a, b) => Number(b) - Number(a)) : [];
  return versions.map((version) => path.join(base, version, 'bin')).find((bin) => existsSync(path.join(bin, 'initdb')));
}

async function startPostgres(bin: string): Promise<TestServer> {
  const dir = mkdtempSync(path.join(tmpdir(), 'atoll-postgres-'));
  const identity = unprivileged();
  if (identity) chownSync(dir, identity.uid, identity.gid);
  const data = path.join(dir, 'data');
  execFileSync(path.join(bin, 'initdb'), ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-sync'], {
    stdio: 'ignore',
    ...identity,
  });
  const port = await freePort();
  const args = ['-D', data, '-p', String(port), '-k', dir, '-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'];
  const child = spawn(path.join(bin, 'postgres'), args, { stdio: 'ignore', ...identity });
  const url = `postgres://postgres@127.0.0.1:${port}/postgres`;
  await until(async () => (await postgresProblem(url)) === undefined, 'PostgreSQL did not start.');
  const stop = async () => {
    // Fast shutdown: sessions are ended.
    await end(child, 'SIGINT');
    rmSync(dir, { recursive: true, force: true });
  };
  return { url, what: `started on port ${port}`, stop };
}

/** PostgreSQL refuses to run as root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const users = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  const user = users.find(([name]) => name === 'postgres') ?? users.find(([name]) => name === 'nobody');
  return user && { uid: Number(user[2]), gid: Number(user[3]) };
}

function answersPing({ hostname, port }: URL): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(Number(port || 6379), hostname, () => socket.write('PING\r\n'));
    const done = (answer: boolean) => {
      socket.destroy();
      resolve(answer);
    };
    socket.setTimeout(2_000, () => done(false));
    socket.once('data', () => done(true));
    socket.once('error', () => done(false));
  });
}

function onPath(program: string): boolean {
  return (process.env.PATH ?? '').split(path.delimiter).some((folder) => existsSync(path.join(folder, program)));
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(port));
    });
  });
}

async function until(ready: () => Promise<boolean>, problem: string): Promise<void> {
  const latest = Date.now() + START_MS;
  while (!(await ready())) {
    if (Date.now() > latest) throw new Error(problem);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill(signal);
  return ended;
}
