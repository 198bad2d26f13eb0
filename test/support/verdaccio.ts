import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';

const require = createRequire(new URL('../../registry/package.json', import.meta.url));
const BIN = path.join(path.dirname(require.resolve('verdaccio/package.json')), 'bin/verdaccio');

/** No uplinks: it knows only what is published to it. Reading `@private/*` needs an account. */
const configOf = (storage: string) => `
storage: ${storage}
auth: { htpasswd: { file: ${storage}/htpasswd, max_users: 10, algorithm: bcrypt, rounds: 4 } }
uplinks: {}
packages:
  '@private/*': { access: $authenticated, publish: $authenticated }
  '**': { access: $all, publish: $all }
max_body_size: 50mb
web: { enable: false }
log: { type: stdout, format: json, level: error }
`;

/** A real npm registry on this machine, without any network. */
export class Verdaccio {
  private constructor(
    readonly url: string,
    readonly storage: string,
    private readonly child: ChildProcess,
  ) {}

  static async start(): Promise<Verdaccio> {
    const storage = await mkdtemp(path.join(tmpdir(), 'atoll-verdaccio-'));
    const config = path.join(storage, 'config.yaml');
    await writeFile(config, configOf(storage));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/`;
    const child = spawn(process.execPath, [BIN, '--config', config, '--listen', `127.0.0.1:${port}`], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, HOME: storage, NODE_NO_WARNINGS: '1' },
    });
    let printed = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (printed += chunk.toString()));
    await until(async () => {
      if (child.exitCode !== null) throw new Error(`Verdaccio ended: ${printed}`);
      return (await fetch(`${url}-/ping`).catch(() => undefined))?.ok === true;
    });
    return new Verdaccio(url, storage, child);
  }

  /** Makes an account and returns its token. */
  async addUser(name: string): Promise<string> {
    const body = JSON.stringify({ name, password: 'a-long-password' });
    const init = { method: 'PUT', headers: { 'content-type': 'application/json' }, body };
    const response = await fetch(`${this.url}-/user/org.couchdb.user:${name}`, init);
    return ((await response.json()) as { token: string }).token;
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await ended;
    await rm(this.storage, { recursive: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function until(what: () => Promise<boolean>): Promise<void> {
  for (let left = 300; left > 0; left--) {
    if (await what()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('It did not start.');
}
