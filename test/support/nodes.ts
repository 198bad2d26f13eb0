import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { once } from 'node:events';
import pg from 'pg';
import WebSocket from 'ws';
import { createTestDatabase, TEST_SERVER } from '../../kernel/src/database/testing.js';
import { startTestKernel, type TestKernel } from './kernel.js';
import { TcpProxy } from './tcp-proxy.js';

export const TEST_REDIS = process.env.TEST_REDIS_URL || undefined;
export const HAS_SERVERS = TEST_SERVER !== undefined && TEST_REDIS !== undefined;

export interface NodeInfo {
  id: string;
  state: string;
  generation: number;
  converged: boolean;
  problems: { plugin: string; reason: string }[];
}

export interface Answer<B> {
  status: number;
  body: B;
}

/** One kernel process among several. */
export class TestNode {
  constructor(
    readonly id: string,
    readonly kernel: TestKernel,
  ) {}

  async call<B = Record<string, unknown>>(method: string, target: string, body?: unknown): Promise<Answer<B>> {
    const isBytes = body instanceof Uint8Array;
    const response = await this.kernel.call(target, {
      method,
      ...(body !== undefined && {
        headers: { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' },
        body: (isBytes ? body : JSON.stringify(body)) as NonNullable<RequestInit['body']>,
      }),
    });
    const answer = await response.text();
    return { status: response.status, body: (answer === '' ? undefined : JSON.parse(answer)) as B };
  }

  async plugin(
    id: string,
  ): Promise<{ state?: string; version?: string; notConverged?: { node: string; reason: string }[] }> {
    return (await this.call<{ state: string; version: string }>('GET', `/api/v1/plugins/${id}`)).body;
  }

  async ready(): Promise<
    Answer<{ status: string; checks: Record<string, boolean>; reasons?: Record<string, string> }>
  > {
    return this.call('GET', '/health/ready');
  }

  /** Events of this node's WebSocket. */
  async listen(
    topic: string,
  ): Promise<{ events: { type: string; data: never; node?: string; traceparent?: string }[]; close(): void }> {
    const socket = new WebSocket(`${this.kernel.url.replace('http', 'ws')}/ws`, {
      headers: { authorization: `Bearer ${this.kernel.key}` },
    });
    await once(socket, 'open');
    const events: { type: string; data: never; node?: string }[] = [];
    const subscribed = new Promise<void>((resolve) => {
      socket.on('message', (data) => {
        const message = JSON.parse(data.toString()) as { type: string; event?: (typeof events)[number] };
        if (message.type === 'event' && message.event) events.push(message.event);
        else resolve();
      });
    });
    socket.send(JSON.stringify({ id: '1', type: 'subscribe', topics: [topic] }));
    await subscribed;
    return { events, close: () => socket.terminate() };
  }
}

/** Several nodes on one database and one Redis, both behind proxies that can be cut. */
export class TestNodes {
  readonly #folders: string[] = [];
  readonly #all: TestNode[] = [];

  private constructor(
    readonly postgres: TcpProxy,
    readonly redis: TcpProxy,
    private readonly drop: () => Promise<void>,
  ) {}

  static async open(): Promise<TestNodes> {
    const database = await createTestDatabase(TEST_SERVER!);
    const [postgres, redis] = [await TcpProxy.to(database.url, 5432), await TcpProxy.to(TEST_REDIS!, 6379)];
    return new TestNodes(postgres, redis, database.drop);
  }

  async start(id: string, pluginPath: string[], env: Record<string, string> = {}): Promise<TestNode> {
    const folder = mkdtempSync(path.join(tmpdir(), `atoll-${id}-`));
    this.#folders.push(folder);
    const kernel = await startTestKernel({
      pluginPath,
      env: {
        ATOLL_DATA_DIR: folder,
        ATOLL_MASTER_KEY: 'the-master-key-of-all-these-nodes-0123456789',
        ATOLL_NODE__ID: id,
        ATOLL_NODE__HEARTBEAT_MS: '500',
        ATOLL_LOG__LEVEL: 'warn',
        DATABASE_URL: this.postgres.url,
        REDIS_URL: this.redis.url,
        ...env,
      },
    });
    const node = new TestNode(id, kernel);
    this.#all.push(node);
    return node;
  }

  /** Redis loses what it has of these nodes, as it does when it is started anew without having written anything. */
  async emptyRedis(): Promise<void> {
    const client = new pg.Client({ connectionString: this.postgres.url });
    await client.connect();
    try {
      const { rows } = await client.query<{ installation: string }>('select installation from cluster.state');
      const script = `return redis.call('del', unpack(redis.call('keys', ARGV[1])))`;
      const lost = await redisCommand(['EVAL', script, '0', `atoll:${rows[0]!.installation}:*`]);
      if (!/^:[1-9]/.test(lost)) throw new Error(`There was nothing to lose: ${lost}`);
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    for (const { kernel } of this.#all)
      if (kernel.process.exitCode === null && kernel.process.signalCode === null) await kernel.stop();
    this.postgres.restore();
    // Nothing is left behind, unless nothing was there.
    await this.emptyRedis().catch(() => {});
    await this.postgres.close();
    await this.redis.close();
    for (const folder of this.#folders) rmSync(folder, { recursive: true, force: true });
    await this.drop();
  }
}

/** The raw answer to one command. */
async function redisCommand(parts: readonly string[]): Promise<string> {
  const { hostname, port } = new URL(TEST_REDIS!);
  const socket = connect(Number(port || 6379), hostname);
  const lines = parts.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`);
  socket.end(`*${parts.length}\r\n${lines.join('')}`);
  return text(socket);
}
