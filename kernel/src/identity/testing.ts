import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pino from 'pino';
import Value from 'typebox/value';
import { type Config, ConfigSchema } from '../config/index.js';
import { Database } from '../database/index.js';
import { createTestDatabase, TEST_SERVER } from '../database/testing.js';
import { register, resolve } from '../di/container.js';
import * as T from '../di/tokens.js';
import { Kernel } from '../kernel.js';
import type { Identity } from './identity.js';

export const ROOT_KEY = 'root-key-of-these-tests';
export const PASSWORD = 'correct horse battery';

export interface Answer<B = Record<string, unknown>> {
  status: number;
  body: B;
  headers: Headers;
}

export interface TestClientOptions {
  body?: unknown;
  /** A bearer; the root key when absent, none when null. */
  as?: string | null;
  headers?: Record<string, string>;
}

/** A whole kernel with a fresh database, and a client for it. */
export class TestKernel {
  private constructor(
    readonly kernel: Kernel,
    readonly url: string,
    private readonly cleanUp: () => Promise<void>,
  ) {}

  /** `keep` is a data directory that outlives it, with the embedded database in it. */
  static async start(
    change: (config: Config) => void = () => {},
    { url, masterKey, keep }: { url?: string; masterKey?: string; keep?: string } = {},
  ): Promise<TestKernel> {
    const dataDir = keep ?? (await mkdtemp(path.join(tmpdir(), 'atoll-identity-')));
    const server = TEST_SERVER && url === undefined ? await createTestDatabase(TEST_SERVER) : undefined;
    const sections = Object.entries(ConfigSchema.properties).map(([name, schema]) => [name, Value.Default(schema, {})]);
    const config = Object.fromEntries(sections) as Config;
    Object.assign(config.server, { port: 0, dataDir });
    Object.assign(config.auth, { adminKey: ROOT_KEY, ...(masterKey && { masterKey }) });
    Object.assign(config.sandbox, { spares: 0 });
    Object.assign(config.log, { level: 'silent' });
    const target = url ?? server?.url;
    if (target) config.database.url = target;
    change(config);
    const kernel = new Kernel({
      config,
      override: (container) => {
        const [log, metrics] = [pino({ level: 'silent' }), resolve(container, T.METRICS)];
        register(container, T.DATABASE, {
          useFactory: () =>
            new Database({
              config: config.database,
              ...(keep !== undefined && { dataDir: path.join(keep, 'database') }),
              log,
              metrics,
            }),
        });
      },
    });
    const report = await kernel.start();
    for (const { error } of report.problems) throw error;
    return new TestKernel(kernel, report.url, async () => {
      if (keep === undefined) await rm(dataDir, { recursive: true, force: true });
      await server?.drop();
    });
  }

  get identity(): Identity {
    return resolve(this.kernel.container, T.IDENTITY);
  }

  get database(): Database {
    return resolve(this.kernel.container, T.DATABASE);
  }

  async call<B = Record<string, unknown>>(
    method: string,
    target: string,
    { body, as = ROOT_KEY, headers = {} }: TestClientOptions = {},
  ): Promise<Answer<B>> {
    const response = await fetch(`${this.url}${target}`, {
      method,
      redirect: 'manual',
      headers: {
        ...(as !== null && { authorization: `Bearer ${as}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, body: (isJson ? JSON.parse(text) : text) as B, headers: response.headers };
  }

  /** A user of an organisation, made with the root key. */
  async user(username: string, roles: string[], organisation = 'default'): Promise<string> {
    const body = { username, password: PASSWORD, roles };
    const made = await this.call<{ id: string }>('POST', `/api/v1/users?organisation=${organisation}`, { body });
    if (made.status !== 201) throw new Error(JSON.stringify(made.body));
    return made.body.id;
  }

  async login(username: string, more: object = {}): Promise<{ accessToken: string; refreshToken: string }> {
    const body = { username, password: PASSWORD, ...more };
    const answer = await this.call<{ accessToken: string; refreshToken: string }>('POST', '/api/v1/auth/login', {
      as: null,
      body,
    });
    if (answer.status !== 200) throw new Error(JSON.stringify(answer.body));
    return answer.body;
  }

  async close(): Promise<void> {
    await this.kernel.stop();
    await this.cleanUp();
  }
}
