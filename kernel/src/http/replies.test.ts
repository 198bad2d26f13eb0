import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { gunzipSync } from 'node:zlib';
import { AtollError } from '@atoll/plugin-sdk/contract';
import { afterEach, expect, it } from 'vitest';
import { AUTH, route, TestServer } from '../../../test/support/http-server.js';
import type { RouteCall, RouteReply } from '../plugins/types.js';
import type { CancelSignal } from '../sandbox/host/guest-call.js';

let server: TestServer;
afterEach(() => server.close());

async function serve(reply: (call: RouteCall) => RouteReply | Promise<RouteReply>): Promise<void> {
  server = await TestServer.start({ routes: [route({ method: 'GET', path: '/x' }, reply)] });
}

const streamed = (stream: AsyncIterable<Buffer>, type = 'application/x-ndjson'): RouteReply => {
  return { status: 200, headers: [['content-type', type]], stream };
};

/** Sends these chunks, then fails if there is an error. */
async function* chunks(texts: string[], error?: Error): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text);
  if (error) throw error;
}

async function open(): Promise<{ outgoing: ClientRequest; incoming: IncomingMessage }> {
  const outgoing = request(`${server.url}/x`, { headers: AUTH }).end();
  outgoing.on('error', () => {});
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  incoming.on('error', () => {});
  return { outgoing, incoming };
}

it.each([
  ['a line break in a value', 'x-a', 'b\r\nset-cookie: c=d'],
  ['a line break in a name', 'x-a: b\r\nx-c', 'd'],
  ['a null byte', 'x-a', 'b\0'],
  ['a character beyond Latin-1', 'x-a', '€'],
  ['an empty name', '', 'b'],
])('502 for headers with %s', async (_, name, value) => {
  await serve(() => ({ status: 200, headers: [[name, value]], body: Buffer.from('x') }));
  const response = await server.call('/x');
  expect(response.status).toBe(502);
  expect(await response.json()).toMatchObject({ code: 'PLUGIN_BAD_RESPONSE' });
  expect(response.headers.get('set-cookie')).toBeNull();
});

it('ends a stream that has no usable head, and forgets the headers before the bad one', async () => {
  let returned = 0;
  const iterator: AsyncIterableIterator<Buffer> = {
    [Symbol.asyncIterator]: () => iterator,
    next: async () => ({ done: false, value: Buffer.from('x') }),
    return: async () => {
      returned++;
      return { done: true, value: undefined };
    },
  };
  await serve(() => ({ status: 200, headers: [['content-encoding', 'gzip'], ['x-bad', '\n']], stream: iterator })); // biome-ignore format: one line
  expect(await (await server.call('/x')).json()).toMatchObject({ code: 'PLUGIN_BAD_RESPONSE' });
  expect(returned).toBe(1);
});

it('keeps connection headers and the request id out of a plugin’s hands, and every cookie', async () => {
  const headers: [string, string][] = [
    ['Transfer-Encoding', 'chunked'], ['Content-Length', '1'], ['Connection', 'upgrade'], ['X-Request-Id', 'forged-id-123'],
    ['Set-Cookie', 'a=1'], ['set-cookie', 'b=2'], ['X-Mine', 'yes'],
  ]; // biome-ignore format: a list
  await serve(() => ({ status: 201, headers, body: Buffer.from('whole') }));
  const response = await server.call('/x');
  expect(response.status).toBe(201);
  expect(await response.text()).toBe('whole');
  expect(response.headers.get('x-request-id')).not.toBe('forged-id-123');
  expect(response.headers.get('x-mine')).toBe('yes');
  expect(response.headers.getSetCookie()).toEqual(['a=1', 'b=2']);
});

it('sends answers without a body', async () => {
  await serve(() => ({ status: 202, headers: [] }));
  const response = await server.call('/x');
  expect([response.status, await response.text()]).toEqual([202, '']);
});

it('takes from a stream only as fast as the client reads', async () => {
  let taken = 0;
  const chunk = Buffer.alloc(65_536);
  let returned: () => void;
  const ended = new Promise<void>((resolve) => {
    returned = resolve;
  });
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) {
        taken++;
        yield chunk;
      }
    } finally {
      returned();
    }
  }
  await serve(() => streamed(endless(), 'application/octet-stream'));
  const { outgoing, incoming } = await open();
  incoming.pause();
  // It stops by itself once all buffers on the way are full.
  for (let before = -1; before !== taken; ) {
    before = taken;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const stoppedAt = taken;
  incoming.resume();
  let received = 0;
  for await (const data of incoming as AsyncIterable<Buffer>) {
    received += data.length;
    if (received > (stoppedAt + 10) * chunk.length) break;
  }
  expect(taken).toBeGreaterThan(stoppedAt);
  outgoing.destroy();
  await ended;
});

it('aborts the call and ends the stream when the client goes away', async () => {
  let signal: CancelSignal | undefined;
  let returned = 0;
  const aborted = () => expect.poll(() => signal?.aborted).toBe(true);
  const waiting: (() => void)[] = [];
  const iterator: AsyncIterableIterator<Buffer> = {
    [Symbol.asyncIterator]: () => iterator,
    next: async () => {
      // After the first chunk, only the end of the call brings it on.
      if (waiting.push(() => {}) > 1) await aborted();
      return { done: false, value: Buffer.from('{}\n') };
    },
    return: async () => {
      returned++;
      return { done: true, value: undefined };
    },
  };
  await serve((call) => {
    signal = call.signal;
    return streamed(iterator);
  });
  const { outgoing, incoming } = await open();
  await once(incoming, 'data');
  outgoing.destroy();
  await aborted();
  expect(signal!.reason).toMatchObject({ code: 'CANCELLED' });
  await expect.poll(() => returned).toBe(1);
});

it('ends the stream of a client that goes away while it reads nothing', async () => {
  let ended = false;
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield Buffer.alloc(65_536);
    } finally {
      ended = true;
    }
  }
  await serve(() => streamed(endless(), 'application/octet-stream'));
  const { outgoing } = await open();
  outgoing.destroy();
  await expect.poll(() => ended).toBe(true);
});

it('ends the stream of a client that goes away before the first chunk', async () => {
  let returned = false;
  let signal: AbortSignal | undefined;
  let asked: () => void;
  const started = new Promise<void>((resolve) => {
    asked = resolve;
  });
  const iterator: AsyncIterableIterator<Buffer> = {
    [Symbol.asyncIterator]: () => iterator,
    next: async () => {
      asked();
      await once(signal!, 'abort');
      return { done: false, value: Buffer.from('late') };
    },
    return: async () => {
      returned = true;
      return { done: true, value: undefined };
    },
  };
  await serve((call) => {
    signal = call.signal;
    return streamed(iterator);
  });
  const outgoing = request(`${server.url}/x`, { headers: AUTH }).end();
  outgoing.on('error', () => {});
  await started;
  outgoing.destroy();
  await expect.poll(() => returned).toBe(true);
});

it('makes an ordinary problem of a stream that fails before its first chunk', async () => {
  await serve(() =>
    streamed(chunks([], new AtollError('UPSTREAM_BUSY', 'later', { retryAfter: 3 })), 'text/event-stream'),
  );
  const response = await server.call('/x');
  expect(response.status).toBe(503);
  expect(response.headers.get('retry-after')).toBe('3');
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  expect(await response.json()).toMatchObject({ code: 'UPSTREAM_BUSY', detail: 'later' });
});

it('says nothing of a plugin’s headers in a problem that took the answer’s place', async () => {
  const headers: [string, string][] = [['content-type', 'text/event-stream'], ['content-encoding', 'gzip'], ['set-cookie', 'a=b'], ['etag', '"x"']]; // biome-ignore format: a list
  await serve(() => ({ status: 200, headers, stream: chunks([], new AtollError('UPSTREAM_BUSY')) }));
  const response = await server.call('/x');
  expect(await response.json()).toMatchObject({ code: 'UPSTREAM_BUSY' });
  for (const name of ['content-encoding', 'set-cookie', 'etag']) expect(response.headers.get(name)).toBeNull();
  expect(response.headers.get('x-request-id')).not.toBeNull();
});

it('tells of a later failure in an event stream', async () => {
  await serve(() => streamed(chunks(['data: 1\n\n'], new AtollError('PLUGIN_CRASHED', 'gone')), 'text/event-stream'));
  const text = await (await server.call('/x')).text();
  expect(text).toMatch(/^data: 1\n\nevent: error\ndata: \{.*"code":"PLUGIN_CRASHED".*\}\n\n$/);
});

it('cuts the connection on a later failure in any other format', async () => {
  await serve(() => streamed(chunks(['{"a":1}\n'], new AtollError('PLUGIN_CRASHED', 'gone'))));
  const response = await server.call('/x');
  await expect(response.text()).rejects.toThrow();
});

it('tells nothing of an unplanned error', async () => {
  await serve(() => streamed(chunks(['data: 1\n\n'], new Error('secret text')), 'text/event-stream'));
  const text = await (await server.call('/x')).text();
  expect(text).toContain('"code":"INTERNAL"');
  expect(text).not.toContain('secret');
});

it('ends an event stream that breaks in the form of its plugin, where it has one', async () => {
  async function* broken() {
    yield Buffer.from('data: 1\n\n');
    throw new AtollError('PLUGIN_CRASHED', 'It is gone.');
  }
  const stream = () =>
    ({ status: 200, headers: [['content-type', 'text/event-stream']], stream: broken() }) as RouteReply;
  const errorTemplate = { body: { error: { message: '{detail}', code: '{code}' } } };
  server = await TestServer.start({
    routes: [{ ...route({ method: 'GET', path: '/x' }, () => Promise.resolve(stream())), errorTemplate }],
  });
  const text = await (await server.call('/x')).text();
  expect(text).toBe('data: 1\n\nevent: error\ndata: {"error":{"message":"It is gone.","code":"PLUGIN_CRASHED"}}\n\n');
});

it('compresses whole answers and leaves streams alone', async () => {
  const body = Buffer.from('x'.repeat(10_000));
  const type: [string, string] = ['content-type', 'text/plain'];
  await serve(({ query }) => ({
    status: 200,
    headers: [type],
    ...(query.s ? { stream: chunks([body.toString()]) } : { body }),
  }));
  const get = async (path: string) => {
    const outgoing = request(server.url + path, { headers: { ...AUTH, 'accept-encoding': 'gzip' } }).end();
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    return { encoding: incoming.headers['content-encoding'], body: Buffer.concat(await incoming.toArray()) };
  };
  const whole = await get('/x');
  expect(whole.encoding).toBe('gzip');
  expect(gunzipSync(whole.body)).toEqual(body);
  expect(await get('/x?s=1')).toEqual({ encoding: undefined, body });
});

it('answers HEAD for a stream without reading it to its end', async () => {
  let returned = false;
  async function* endless(): AsyncGenerator<Buffer> {
    try {
      for (;;) yield Buffer.from('x');
    } finally {
      returned = true;
    }
  }
  await serve(() => streamed(endless()));
  const response = await server.call('/x', { method: 'HEAD' });
  expect([response.status, await response.text(), returned]).toEqual([200, '', true]);
});
