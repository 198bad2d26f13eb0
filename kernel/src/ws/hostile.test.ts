import { once } from 'node:events';
import { AtollError, type CloudEvent, type ErrorExtras } from '@atoll/plugin-sdk/contract';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import WebSocket from 'ws';
import { AUTH, KEY, TestServer, type TestServerOptions } from '../../../test/support/http-server.js';
import type { ChannelCall } from '../plugins/types.js';

type Message = Record<string, unknown> & { error?: Record<string, unknown> };

let server: TestServer;
let answer: (call: ChannelCall) => unknown = () => null;
const rejections: unknown[] = [];
const onRejection = (reason: unknown) => rejections.push(reason);

let deep: unknown = 1;
for (let n = 0; n < 50_000; n++) deep = [deep];
const DEEP_TEXT = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;

async function serve(options: TestServerOptions = {}): Promise<void> {
  server = await TestServer.start({ ...options, host: { callChannel: async (call) => answer(call) } });
}

/** A client that has sent these, and waits for as many answers. */
async function talk(texts: (string | object)[], answers = texts.length): Promise<Message[]> {
  const socket = await open();
  const messages: Message[] = [];
  const done = new Promise<void>((resolve) => {
    socket.on('message', (data) => {
      if (messages.push(JSON.parse(data.toString()) as Message) === answers) resolve();
    });
    socket.on('close', () => resolve());
  });
  for (const text of texts) socket.send(typeof text === 'string' ? text : JSON.stringify(text));
  await done;
  socket.terminate();
  return messages;
}

async function open(protocols: string[] = [], headers: Record<string, string> = AUTH): Promise<WebSocket> {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`, protocols, { headers });
  socket.on('error', () => {});
  await once(socket, 'open');
  return socket;
}

beforeEach(() => process.on('unhandledRejection', onRejection));
afterEach(async () => {
  await server.close();
  process.off('unhandledRejection', onRejection);
  expect(rejections.splice(0)).toEqual([]);
});

const call = { id: 1, type: 'call', channel: 'a.b' };

describe('upgrades', () => {
  const upgrade = (target: string, more = '') =>
    server.raw(
      `GET ${target} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`,
    );

  it.each(['//', 'http://[', '*', '/ws/', '/ws%00', '/%', '/', '/ws\\', '//ws'])(
    'to %j are refused with a problem',
    async (target) => {
      await serve();
      const text = await upgrade(target, `authorization: ${AUTH.authorization}\r\n`);
      expect(text).toMatch(/^HTTP\/1\.1 404 /);
      expect(text.toLowerCase()).toContain('content-type: application/problem+json');
      expect(JSON.parse(text.slice(text.indexOf('{')))).toMatchObject({ status: 404, code: 'NOT_FOUND' });
      expect((await server.call('/health/live')).status).toBe(200);
    },
  );

  it('without credentials, from foreign pages and beyond the limits are refused with a problem', async () => {
    await serve({ ws: { maxConnections: 1 } });
    expect(await upgrade('/ws')).toMatch(/ 401 [\s\S]*"code":"UNAUTHENTICATED"/);
    for (const given of ['', 'bearer.', 'bearer.wrong', ',,,', 'bearer.%zz'])
      expect(await upgrade('/ws', given && `sec-websocket-protocol: ${given}\r\n`)).toMatch(/^HTTP\/1\.1 40[01] /);
    const auth = `authorization: ${AUTH.authorization}\r\n`;
    for (const origin of ['https://evil.example', 'null', 'nonsense', 'file://'])
      expect(await upgrade('/ws', `${auth}origin: ${origin}\r\n`)).toMatch(/ 403 [\s\S]*"code":"FORBIDDEN"/);
    const first = await open();
    expect(await upgrade('/ws', auth)).toMatch(/ 429 [\s\S]*"code":"TOO_MANY_CONNECTIONS"/);
    first.terminate();
  });

  it('choose a sub-protocol that is no secret where there is one', async () => {
    await serve();
    const socket = await open([`bearer.${KEY}`, 'atoll'], {});
    expect(socket.protocol).toBe('atoll');
    socket.terminate();
  });

  it('count clients by the address that a trusted proxy names', async () => {
    await serve({ server: { trustProxy: true }, ws: { maxConnectionsPerAddress: 1 } });
    const auth = (ip: string) => ({ ...AUTH, 'x-forwarded-for': `6.6.6.6, ${ip}` });
    const sockets = [await open([], auth('10.0.0.1')), await open([], auth('10.0.0.2'))];
    await expect(open([], auth('10.0.0.1'))).rejects.toThrow('429');
    for (const socket of sockets) socket.terminate();
  });
});

describe('messages', () => {
  it('that are wrong are told where', async () => {
    await serve();
    const replies = await talk([
      { id: 1, type: 'subscribe', topics: [] },
      { id: 2, type: 'call' },
      { id: 3, type: 'nope' },
      { type: 'ping' },
      { id: 5, type: 'subscribe', topics: ['a b'] },
      '{"id":6,',
      'null',
      '[]',
      { id: { a: 1 }, type: 'ping' },
      { id: 8, type: 'ping' },
    ]);
    expect(replies.map(({ id, type }) => [id, type])).toEqual([
      [1, 'error'], [2, 'error'], [3, 'error'], [undefined, 'error'], [5, 'error'], [undefined, 'error'],
      [undefined, 'error'], [undefined, 'error'], [undefined, 'error'], [8, 'pong'],
    ]); // biome-ignore format: a table
    expect(replies[0]?.error).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ pointer: '/topics' }] });
    expect(replies[1]?.error).toMatchObject({ errors: [{ pointer: '/channel', message: 'is required' }] });
    expect(replies[2]?.error).toMatchObject({ errors: [{ pointer: '/type' }] });
    expect(replies[3]?.error).toMatchObject({ errors: [{ pointer: '/id', message: 'is required' }] });
    expect(replies[4]?.error).toMatchObject({ errors: [{ pointer: '/topics/0' }] });
    expect(replies[5]?.error).toMatchObject({ status: 400, code: 'INVALID_JSON' });
  });

  it('that are nested too deeply are at fault', async () => {
    answer = ({ data }) => JSON.stringify(data).length;
    await serve();
    const [reply] = await talk([`{"id":1,"type":"call","channel":"a.b","data":${DEEP_TEXT}}`]);
    expect(reply).toMatchObject({ id: 1, type: 'error', error: { status: 422, code: 'VALIDATION_FAILED' } });
  });

  it('after the connection was closed do nothing', async () => {
    const call = vi.fn(() => null);
    answer = call;
    await serve({ ws: { messagesPerSecond: 1 } });
    const socket = await open();
    const closed = once(socket, 'close');
    // The budget is of a second: without an end to it, later messages would be heard again.
    const real = performance.now.bind(performance);
    const now = vi.spyOn(performance, 'now');
    socket.send('{"id":1,"type":"ping"}');
    socket.send('{"id":2,"type":"ping"}');
    now.mockImplementation(() => real() + 10_000);
    for (let n = 0; n < 50; n++) socket.send(JSON.stringify({ id: n, type: 'call', channel: 'a.b' }));
    const [code] = (await closed) as [number];
    now.mockRestore();
    expect([1005, 1006, 1008]).toContain(code);
    expect(call.mock.calls.length).toBeLessThan(50);
  });

  it('sent together with the upgrade are not lost', async () => {
    await serve();
    const socket = new WebSocket(`${server.url.replace('http', 'ws')}/ws`, { headers: AUTH });
    socket.on('open', () => socket.send('{"id":"early","type":"ping"}'));
    const [data] = (await once(socket, 'message')) as [Buffer];
    expect(JSON.parse(data.toString())).toEqual({ id: 'early', type: 'pong' });
    socket.terminate();
  });
});

describe('answers of plugins', () => {
  it('that can’t be sent are a bad response', async () => {
    answer = () => deep;
    await serve();
    expect((await talk([call]))[0]).toMatchObject({
      id: 1,
      type: 'error',
      error: { status: 502, code: 'PLUGIN_BAD_RESPONSE' },
    });
    answer = async function* () {
      yield deep;
    };
    expect((await talk([call]))[0]).toMatchObject({ id: 1, type: 'error', error: { code: 'PLUGIN_BAD_RESPONSE' } });
  });

  it('with extras that can’t be sent are errors without them', async () => {
    answer = () => {
      throw new AtollError('PLUGIN_ERROR', 'It said so.', { deep, status: 7 } as ErrorExtras);
    };
    await serve();
    expect((await talk([call]))[0]).toMatchObject({
      id: 1,
      type: 'error',
      error: { status: 502, code: 'PLUGIN_ERROR', detail: 'It said so.' },
    });
  });

  it('that nobody planned for tell nothing', async () => {
    answer = () => {
      throw new TypeError('a secret');
    };
    await serve();
    const [reply] = await talk([call]);
    expect(reply).toMatchObject({ error: { status: 500, code: 'INTERNAL' } });
    expect(JSON.stringify(reply)).not.toContain('secret');
  });
});

it('closes with 1013, and lets go of, a subscriber that does not read', async () => {
  await serve({ ws: { maxBufferedBytes: 1024 } });
  const socket = await open();
  socket.send('{"id":1,"type":"subscribe","topics":["big.*"]}');
  await once(socket, 'message');
  socket.pause();
  const event = { type: 'big.one', data: 'x'.repeat(1_000_000) } as CloudEvent;
  await expect
    .poll(
      () => {
        server.emit('big.*', event);
        return server.listeners.size;
      },
      { timeout: 20_000 },
    )
    .toBe(0);
  const closed = once(socket, 'close') as Promise<[number]>;
  socket.resume();
  const [code] = await closed;
  expect(code).toBe(1013);
});

it('keeps no more than so much for a client that calls and does not read, and lets go of it', async () => {
  let calls = 0;
  answer = () => {
    calls++;
    return 'x'.repeat(5_000_000);
  };
  await serve({ ws: { maxBufferedBytes: 1024, messagesPerSecond: 1_000, maxCallsInFlight: 1_000 } });
  const socket = await open();
  socket.pause();
  for (let id = 1; id <= 60; id++) socket.send(JSON.stringify({ ...call, id }));
  const closed = once(socket, 'close') as Promise<[number]>;
  await expect.poll(() => calls, { timeout: 20_000 }).toBeGreaterThan(12);
  socket.resume();
  expect((await closed)[0]).toBe(1013);
});

it('gives a client that reads all it has called for, however large', async () => {
  answer = () => 'x'.repeat(5_000_000);
  await serve({ ws: { maxBufferedBytes: 1024 } });
  const replies = await talk(Array.from({ length: 8 }, (_, at) => ({ ...call, id: at + 1 })));
  expect(replies.filter(({ type }) => type === 'result')).toHaveLength(8);
});

it('closes with 1011 when a handler fails in a way nobody planned for', async () => {
  await serve();
  vi.spyOn(server.listeners, 'get').mockImplementation(() => {
    throw new TypeError('a bug');
  });
  const socket = await open();
  const messages: Message[] = [];
  socket.on('message', (data) => messages.push(JSON.parse(data.toString()) as Message));
  socket.send('{"id":1,"type":"subscribe","topics":["a"]}');
  const [code, reason] = (await once(socket, 'close')) as [number, Buffer];
  expect([code, reason.toString()]).toEqual([1011, 'INTERNAL']);
  expect(messages).toMatchObject([{ id: 1, type: 'error', error: { code: 'INTERNAL' } }]);
});
