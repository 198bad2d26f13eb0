import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { AtollError, type CloudEvent } from '@atoll/plugin-sdk/contract';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import WebSocket from 'ws';
import { AUTH, KEY, TestServer, type TestServerOptions } from '../../../test/support/http-server.js';
import type { ChannelCall } from '../plugins/types.js';

type Message = Record<string, unknown>;

let server: TestServer;
let sockets: WebSocket[] = [];
/** Answers the calls of a test; set anew by each. */
let answer: (call: ChannelCall) => unknown;

async function serve(ws: TestServerOptions['ws'] = {}, more: TestServerOptions['server'] = {}): Promise<void> {
  server = await TestServer.start({ ws, server: more, host: { callChannel: async (call) => answer(call) } });
}

beforeEach(() => {
  sockets = [];
  answer = ({ data }) => data;
});
afterEach(async () => {
  for (const socket of sockets) socket.terminate();
  await server.close();
});

function dial(path = '/ws', headers: Record<string, string> = AUTH, protocols: string[] = []): WebSocket {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}${path}`, protocols, { headers });
  socket.on('error', () => {});
  sockets.push(socket);
  return socket;
}

/** A client that keeps all messages, in order, until they are asked for. */
class Client {
  readonly #messages: Message[] = [];
  readonly #waiting: ((message: Message) => void)[] = [];

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (data) => {
      const message = JSON.parse(data.toString()) as Message;
      const waiter = this.#waiting.shift();
      if (waiter) waiter(message);
      else this.#messages.push(message);
    });
  }

  static async open(...args: Parameters<typeof dial>): Promise<Client> {
    const client = new Client(dial(...args));
    await once(client.socket, 'open');
    return client;
  }

  next(): Promise<Message> {
    const message = this.#messages.shift();
    return message ? Promise.resolve(message) : new Promise((resolve) => this.#waiting.push(resolve));
  }

  send(message: unknown): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  ask(message: unknown): Promise<Message> {
    this.send(message);
    return this.next();
  }

  async closed(): Promise<number> {
    const [code] = (await once(this.socket, 'close')) as [number];
    return code;
  }
}

/** The status with which the upgrade was refused. */
async function refusal(...args: Parameters<typeof dial>): Promise<number | undefined> {
  const [, response] = (await once(dial(...args), 'unexpected-response')) as [unknown, IncomingMessage];
  return response.statusCode;
}

describe('before the upgrade', () => {
  it('401 without a credential that is worth something', async () => {
    await serve();
    expect(await refusal('/ws', {})).toBe(401);
    expect(await refusal('/ws', { authorization: 'Bearer wrong' })).toBe(401);
    expect(await refusal('/ws?access_token=wrong', {})).toBe(401);
    expect(server.gateway.size).toBe(0);
  });

  it('takes it from the header, the query, or a sub-protocol', async () => {
    await serve();
    await Client.open();
    await Client.open(`/ws?access_token=${KEY}`, {});
    const client = await Client.open('/ws', {}, [`bearer.${KEY}`]);
    expect(client.socket.protocol).toBe(`bearer.${KEY}`);
    expect(server.gateway.size).toBe(3);
  });

  it.each(['/', '/ws/', '/ws2', '/api/v1/plugins', '/wsx?ws', '//', '//[/ws', '/%'])('404 for %s', async (path) => {
    await serve();
    expect(await refusal(path)).toBe(404);
  });

  it('403 for pages of origins that are not allowed', async () => {
    await serve({}, { corsOrigins: ['https://ours.example'] });
    expect(await refusal('/ws', { ...AUTH, origin: 'https://theirs.example' })).toBe(403);
    expect(await refusal('/ws', { ...AUTH, origin: 'null' })).toBe(403);
    await Client.open('/ws', { ...AUTH, origin: 'https://ours.example' });
    await Client.open('/ws', { ...AUTH, origin: server.url });
  });

  it.each(['maxConnections', 'maxConnectionsPerAddress'])('429 beyond %s, until one leaves', async (limit) => {
    await serve({ [limit]: 2 });
    const first = await Client.open();
    await Client.open();
    expect(await refusal()).toBe(429);
    first.socket.close();
    await expect.poll(() => server.gateway.size).toBe(1);
    await Client.open();
  });
});

describe('messages', () => {
  it.each([
    ['no JSON', '{"id"', 'INVALID_JSON', undefined],
    ['no object', '[]', 'VALIDATION_FAILED', undefined],
    ['no type', '{"id":"a"}', 'VALIDATION_FAILED', 'a'],
    ['an unknown type', '{"id":7,"type":"fly"}', 'VALIDATION_FAILED', 7],
    ['no topics', '{"id":"a","type":"subscribe","topics":[]}', 'VALIDATION_FAILED', 'a'],
    ['a malformed topic', '{"id":"a","type":"subscribe","topics":["a..b"]}', 'VALIDATION_FAILED', 'a'],
    ['no id', '{"type":"ping"}', 'VALIDATION_FAILED', undefined],
  ])('answers an error to %s, and goes on', async (_, text, code, id) => {
    await serve();
    const client = await Client.open();
    expect(await client.ask(text)).toEqual({
      ...(id !== undefined && { id }),
      type: 'error',
      error: expect.objectContaining({ code }),
    });
    expect(await client.ask({ id: 1, type: 'ping' })).toEqual({ id: 1, type: 'pong' });
  });

  it('1008 when there are too many', async () => {
    await serve({ messagesPerSecond: 5 });
    const client = await Client.open();
    for (let n = 0; n < 50; n++) client.send({ id: n, type: 'ping' });
    expect(await client.closed()).toBe(1008);
  });

  it('1009 for one that is too large', async () => {
    await serve({ maxMessageBytes: 2_048 });
    const client = await Client.open();
    client.send({ id: 1, type: 'call', channel: 'a.b', data: 'x'.repeat(4_096) });
    expect(await client.closed()).toBe(1009);
  });

  it('1003 for bytes', async () => {
    await serve();
    const client = await Client.open();
    client.socket.send(Buffer.from('{"id":1,"type":"ping"}'), { binary: true });
    expect(await client.closed()).toBe(1003);
  });
});

describe('calls', () => {
  it('answer with a result, null for none, and with the problem when they fail', async () => {
    await serve();
    const client = await Client.open();
    const call = { id: 'c', type: 'call', channel: 'fake.echo' };
    expect(await client.ask({ ...call, data: { a: 1 } })).toEqual({ id: 'c', type: 'result', data: { a: 1 } });
    expect(await client.ask(call)).toEqual({ id: 'c', type: 'result', data: null });
    answer = () => {
      throw new AtollError('NOT_FOUND', 'no such channel');
    };
    expect(await client.ask(call)).toMatchObject({
      id: 'c',
      type: 'error',
      error: { code: 'NOT_FOUND', detail: 'no such channel' },
    });
    answer = () => {
      throw new Error('secret text');
    };
    const failed = await client.ask(call);
    expect(failed).toMatchObject({ type: 'error', error: { code: 'INTERNAL' } });
    expect(JSON.stringify(failed)).not.toContain('secret');
  });

  it('hand the channel, the data and the principal on', async () => {
    await serve();
    let seen: ChannelCall | undefined;
    answer = (call) => {
      seen = call;
    };
    await (await Client.open()).ask({ id: 1, type: 'call', channel: 'fake.echo', data: [1] });
    expect(seen).toMatchObject({
      channel: 'fake.echo',
      data: [1],
      principal: { kind: 'root' },
      traceparent: expect.stringMatching(/^00-/),
    });
  });

  it('stream chunks, then an end', async () => {
    await serve();
    answer = async function* () {
      yield 'a';
      yield { b: 1 };
    };
    const client = await Client.open();
    expect(await client.ask({ id: 1, type: 'call', channel: 'a.b' })).toEqual({ id: 1, type: 'chunk', data: 'a' });
    expect(await client.next()).toEqual({ id: 1, type: 'chunk', data: { b: 1 } });
    expect(await client.next()).toEqual({ id: 1, type: 'end' });
  });

  it('stream an error when the stream breaks', async () => {
    await serve();
    answer = async function* () {
      yield 1;
      throw new AtollError('PLUGIN_CRASHED');
    };
    const client = await Client.open();
    expect(await client.ask({ id: 1, type: 'call', channel: 'a.b' })).toMatchObject({ type: 'chunk' });
    expect(await client.next()).toMatchObject({ id: 1, type: 'error', error: { code: 'PLUGIN_CRASHED' } });
  });

  it('end when they are cancelled', async () => {
    await serve();
    answer = ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    const client = await Client.open();
    client.send({ id: 'slow', type: 'call', channel: 'a.b' });
    const messages = [await client.ask({ id: 'stop', type: 'cancel', target: 'slow' }), await client.next()];
    expect(messages).toContainEqual({ id: 'stop', type: 'result', data: {} });
    expect(messages).toContainEqual({
      id: 'slow',
      type: 'error',
      error: expect.objectContaining({ code: 'CANCELLED' }),
    });
  });

  it('end, and end their streams, when the client goes away', async () => {
    await serve();
    let signal: AbortSignal | undefined;
    let returned = false;
    answer = async function* (call: ChannelCall) {
      signal = call.signal;
      try {
        yield 1;
        await once(call.signal, 'abort');
        yield 2;
      } finally {
        returned = true;
      }
    };
    const client = await Client.open();
    await client.ask({ id: 1, type: 'call', channel: 'a.b' });
    client.socket.terminate();
    await expect.poll(() => [signal?.aborted, returned]).toEqual([true, true]);
  });

  it('are refused with the id of one that runs, and beyond the limit', async () => {
    await serve({ maxCallsInFlight: 1 });
    answer = () => new Promise(() => {});
    const client = await Client.open();
    client.send({ id: 1, type: 'call', channel: 'a.b' });
    expect(await client.ask({ id: 1, type: 'call', channel: 'a.b' })).toMatchObject({
      id: 1,
      error: { code: 'CONFLICT' },
    });
    expect(await client.ask({ id: 2, type: 'call', channel: 'a.b' })).toMatchObject({
      id: 2,
      error: { code: 'TOO_MANY_REQUESTS' },
    });
  });
});

describe('events', () => {
  const event = {
    specversion: '1.0',
    id: 'e',
    source: '/x',
    type: 'a.b',
    time: '',
    datacontenttype: 'application/json',
    data: 1,
  } as CloudEvent;

  it('arrive once subscribed to, and no more afterwards', async () => {
    await serve();
    const client = await Client.open();
    expect(await client.ask({ id: 1, type: 'subscribe', topics: ['a.b', 'a.b'] })).toEqual({
      id: 1,
      type: 'result',
      data: { topics: ['a.b'] },
    });
    server.emit('a.b', event);
    expect(await client.next()).toEqual({ type: 'event', topic: 'a.b', event });
    expect(await client.ask({ id: 2, type: 'unsubscribe', topics: ['a.b'] })).toEqual({
      id: 2,
      type: 'result',
      data: { topics: [] },
    });
    server.emit('a.b', event);
    expect(await client.ask({ id: 3, type: 'ping' })).toEqual({ id: 3, type: 'pong' });
    expect(server.listeners.size).toBe(0);
  });

  it('leave nothing behind when the client goes away', async () => {
    await serve();
    const client = await Client.open();
    await client.ask({ id: 1, type: 'subscribe', topics: ['a', 'b.*'] });
    expect(server.listeners.size).toBe(2);
    client.socket.terminate();
    await expect.poll(() => server.listeners.size).toBe(0);
  });

  it('are limited in number of subscriptions', async () => {
    await serve({ maxSubscriptions: 1 });
    const client = await Client.open();
    expect(await client.ask({ id: 1, type: 'subscribe', topics: ['a', 'b'] })).toMatchObject({
      id: 1,
      error: { code: 'TOO_MANY_REQUESTS' },
    });
  });
});

it('1001 for all when the server goes away', async () => {
  await serve();
  const clients = [await Client.open(), await Client.open()];
  const closed = Promise.all(clients.map((client) => client.closed()));
  await server.gateway.close();
  expect(await closed).toEqual([1001, 1001]);
});

it('drops clients that answer no heartbeat, and keeps the others', async () => {
  await serve({ heartbeatMs: 300 });
  const dead = dial();
  dead.on('open', () => dead.pause());
  await once(dead, 'open');
  const alive = await Client.open();
  await expect.poll(() => server.gateway.size).toBe(1);
  expect(await alive.ask({ id: 1, type: 'ping' })).toEqual({ id: 1, type: 'pong' });
});
