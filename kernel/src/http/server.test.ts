import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { RouteReply } from '../plugins/types.js';
import { AUTH, json, readAll, route, TestServer } from '../../../test/support/http-server.js';

let server: TestServer;
afterEach(() => server.close());

const plain = (path: string) =>
  `GET ${path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: ${AUTH.authorization}\r\n\r\n`;

describe('connections per address', () => {
  const LIMIT = 5;

  async function filled(): Promise<Socket[]> {
    const sockets: Socket[] = [];
    for (let n = 0; n < LIMIT; n++) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      await once(socket, 'connect');
      sockets.push(socket);
    }
    return sockets;
  }

  it('refuses what is beyond the limit, and takes new ones when others have ended', async () => {
    server = await TestServer.start({ server: { maxConnectionsPerAddress: LIMIT } });
    const sockets = await filled();
    for (const answer of await Promise.all(Array.from({ length: 10 }, () => server.raw(plain('/health/live'))))) {
      expect(answer).toMatch(/^HTTP\/1\.1 429 /);
      expect(answer).toContain('"code":"TOO_MANY_CONNECTIONS"');
    }
    sockets[0]!.destroy();
    await expect.poll(() => server.raw(plain('/health/live'))).toMatch(/^HTTP\/1\.1 200 /);
    for (const socket of sockets) socket.destroy();
  });

  it('runs nothing that a refused connection asks for', async () => {
    let calls = 0;
    const counted = route({ method: 'GET', path: '/x' }, () => json(++calls));
    server = await TestServer.start({ server: { maxConnectionsPerAddress: LIMIT }, routes: [counted] });
    const sockets = await filled();
    await Promise.all(Array.from({ length: 10 }, () => server.raw(plain('/x'))));
    for (const socket of sockets) socket.destroy();
    expect(calls).toBe(0);
  });
});

it('431 for headers that are too large', async () => {
  server = await TestServer.start();
  const answer = await server.raw(`GET / HTTP/1.1\r\nhost: a\r\nx-large: ${'x'.repeat(100_000)}\r\n\r\n`);
  expect(answer).toMatch(/^HTTP\/1\.1 431 /);
  expect(answer).toContain('application/problem+json');
});

it('408 for a client that trickles its headers, and for one that trickles its body, while others are served', async () => {
  const echo = route({ method: 'POST', path: '/x' }, () => json(1));
  server = await TestServer.start({ server: { headersTimeoutMs: 400, requestTimeoutMs: 800 }, routes: [echo] });
  const head = 'POST /x HTTP/1.1\r\nhost: a\r\n';
  const answers = [
    trickled(head, 'x-slow: 1\r\n'),
    trickled(`${head}authorization: ${AUTH.authorization}\r\ncontent-length: 1000\r\n\r\n`, 'x'),
  ];
  expect(await server.raw(plain('/health/live'))).toMatch(/^HTTP\/1\.1 200 /);
  for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 408 /);
});

/** What the server answers to a client that sends a little every 50 ms and never comes to its end. */
function trickled(begin: string, piece: string): Promise<string> {
  const socket = connect(server.port, '127.0.0.1');
  socket.on('error', () => {});
  socket.write(begin);
  const timer = setInterval(() => socket.write(piece), 50);
  return readAll(socket).finally(() => clearInterval(timer));
}

describe('a client that takes nothing of its answer', () => {
  /** Asks and then reads nothing. */
  async function deaf(): Promise<Socket> {
    const socket = connect(server.port, '127.0.0.1').pause();
    socket.on('error', () => {});
    socket.write(plain('/x'));
    await once(socket, 'connect');
    return socket;
  }

  it('is cut off, whether the answer is whole or a stream, and the stream is given up', async () => {
    let given: () => void;
    const givenUp = new Promise<void>((resolve) => {
      given = resolve;
    });
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(65_536);
      } finally {
        given();
      }
    }
    const whole = { status: 200, headers: [], body: Buffer.alloc(16_000_000) } satisfies RouteReply;
    for (const answer of [() => ({ status: 200, headers: [], stream: endless() }), () => whole]) {
      server = await TestServer.start({
        routes: [route({ method: 'GET', path: '/x' }, () => Promise.resolve(answer()))],
        server: { stallMs: 200 },
      });
      const socket = await deaf();
      await expect.poll(() => server.connections()).toBe(0);
      socket.destroy();
      await server.close();
    }
    await givenUp;
  });

  it('is not one that waits for an answer', async () => {
    const late = () => new Promise<RouteReply>((resolve) => setTimeout(() => resolve(json({ done: true })), 700));
    server = await TestServer.start({
      routes: [route({ method: 'GET', path: '/x' }, late)],
      server: { stallMs: 100 },
    });
    expect(await (await server.call('/x')).json()).toEqual({ done: true });
  });
});

it('400 for what is not HTTP', async () => {
  server = await TestServer.start();
  expect(await server.raw('\x16\x03\x01 this is TLS\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
});

it('400 for a request with both a length and chunks', async () => {
  server = await TestServer.start();
  const smuggled = `POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`;
  expect(await server.raw(smuggled)).toMatch(/^HTTP\/1\.1 400 /);
});

describe('closing', () => {
  it('finishes a request that is under way, and takes no new connections', async () => {
    let begin: () => void;
    let finish: () => void;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const slow = route({ method: 'GET', path: '/x' }, async () => {
      begin();
      await finished;
      return json({ done: true });
    });
    server = await TestServer.start({ routes: [slow] });
    const { port } = server;
    const answer = server.call('/x');
    await begun;
    const closed = server.guard.close();
    const late = connect(port, '127.0.0.1');
    await expect(once(late, 'connect')).rejects.toThrow('ECONNREFUSED');
    finish!();
    expect(await (await answer).json()).toEqual({ done: true });
    await closed;
  });

  it('cuts what takes longer than the configured time', async () => {
    let begin: () => void;
    const begun = new Promise<void>((resolve) => {
      begin = resolve;
    });
    const never = route({ method: 'GET', path: '/x' }, ({ signal }) => {
      begin();
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    });
    server = await TestServer.start({ routes: [never], server: { shutdownMs: 20 } });
    const answer = server.raw(plain('/x'));
    await begun;
    await server.guard.close();
    expect(await answer).toBe('');
  });

  it('ends connections that are idle', async () => {
    server = await TestServer.start();
    const socket = connect(server.port, '127.0.0.1');
    socket.write('GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n');
    await once(socket, 'data');
    const ended = readAll(socket);
    await server.guard.close();
    await ended;
  });
});

describe('a client that sends nonsense after its request', () => {
  it('never gets two answers in one', async () => {
    let end = () => {};
    const stream = (async function* () {
      yield Buffer.from('first');
      await new Promise<void>((resolve) => {
        end = resolve;
      });
      yield Buffer.from('last');
    })();
    const slow = route({ method: 'GET', path: '/x/slow' }, () => ({ status: 200, headers: [], stream }));
    server = await TestServer.start({ routes: [slow] });
    const socket = connect(server.port, '127.0.0.1');
    const text = readAll(socket);
    socket.write(`GET /x/slow HTTP/1.1\r\nhost: x\r\nauthorization: ${AUTH.authorization}\r\n\r\n`);
    await once(socket, 'data');
    socket.write('this is no request\r\n\r\n');
    await once(socket, 'close');
    expect((await text).match(/HTTP\/1\.1/g)).toHaveLength(1);
    end();
  });
});

it('does not count connections of a trusted proxy', async () => {
  server = await TestServer.start({ server: { maxConnectionsPerAddress: 1, trustProxy: true } });
  const sockets = [1, 2, 3].map(() => connect(server.port, '127.0.0.1'));
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  expect(await server.raw('GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')).toMatch(
    /^HTTP\/1\.1 200 /,
  );
  for (const socket of sockets) socket.destroy();
});

it('stays of use to others when one address opens a thousand connections', async () => {
  server = await TestServer.start({ server: { maxConnectionsPerAddress: 100 } });
  const answers = Array.from({ length: 1_000 }, () => {
    const socket = connect(server.port, '127.0.0.1');
    return { socket, text: readAll(socket) };
  });
  await expect.poll(() => answers.filter(({ socket }) => socket.closed).length, { timeout: 10_000 }).toBe(900);
  for (const { socket } of answers) socket.destroy();
  const texts = await Promise.all(answers.map(({ text }) => text));
  expect(texts.filter((text) => text.startsWith('HTTP/1.1 429 '))).toHaveLength(900);
  await expect.poll(() => server.raw(plain('/health/live'))).toMatch(/^HTTP\/1\.1 200 /);
});
