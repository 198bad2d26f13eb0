import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import Value from 'typebox/value';
import { afterEach, describe, expect, it } from 'vitest';
import { NetSection } from '../config/sections/plugins.js';
import { parseGrants } from './allow-list.js';
import type { Lookup } from './guarded-connect.js';
import { PluginFetch, type PluginFetchReply, type PluginFetchRequest } from './plugin-fetch.js';
import { ConfigSecretSource } from './secrets.js';

const SECRET = 'the-value-of-the-secret';
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serve(
  listener: RequestListener,
  host = '127.0.0.1',
): Promise<{ url: string; port: number; server: Server }> {
  const server = createServer(listener);
  server.listen(0, host);
  await once(server, 'listening');
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, port, server };
}

interface Setup {
  limits?: Partial<ReturnType<typeof defaults>>;
  lookup?: Lookup;
  secretHosts?: string[];
}
const defaults = () => Value.Default(NetSection, {}) as import('../config/schema.js').Config['net'];

function client({ limits, lookup, secretHosts = [] }: Setup = {}): PluginFetch {
  const secrets = new ConfigSecretSource({ KEY: { value: SECRET, hosts: secretHosts } });
  const fetcher = new PluginFetch({ limits: { ...defaults(), ...limits }, secrets, ...(lookup && { lookup }) });
  closers.push(() => fetcher.close());
  return fetcher;
}

interface Wanted {
  net?: string[];
  config?: Record<string, unknown>;
  method?: string;
  headers?: [string, string][];
  redirect?: 'follow' | 'error' | 'manual';
  body?: PluginFetchRequest['body'];
  signal?: AbortSignal;
  plugin?: string;
}

function get(fetcher: PluginFetch, url: string, wanted: Wanted = {}): Promise<PluginFetchReply> {
  const { net = [new URL(url).origin], config = {}, method = 'GET', headers = [], redirect = 'follow' } = wanted;
  return fetcher.fetch({
    plugin: wanted.plugin ?? 'p',
    grants: parseGrants({ plugin: 'p', entries: net, config }),
    secretNames: ['KEY'],
    head: { url, method, headers, redirect },
    ...(wanted.body && { body: wanted.body }),
    signal: wanted.signal ?? new AbortController().signal,
  });
}

async function text({ body }: PluginFetchReply): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of body ?? []) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

const coded = (code: string, message = '') =>
  expect.objectContaining({ name: 'AtollError', code, message: expect.stringContaining(message) });
const echo: RequestListener = (request, response) => {
  let body = '';
  request.on('data', (chunk) => {
    body += chunk;
  });
  request.on('end', () => response.end(JSON.stringify({ method: request.method, headers: request.headers, body })));
};
const answer = async (reply: PluginFetchReply) =>
  JSON.parse(await text(reply)) as { method: string; headers: Record<string, string>; body: string };

describe('a plain request', () => {
  it('brings status, headers and body', async () => {
    const { url } = await serve((_, response) => {
      response.writeHead(
        201,
        'Made',
        [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['x-one', '1'],
        ].flat(),
      );
      response.end('hello');
    });
    const reply = await get(client(), `${url}/path?q=1#fragment`);
    expect(reply.head).toMatchObject({ status: 201, statusText: 'Made', url: `${url}/path?q=1`, redirected: false });
    expect(reply.head.headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value)).toEqual([
      'a=1',
      'b=2',
    ]);
    expect(await text(reply)).toBe('hello');
  });

  it('sends method, headers and body, but not what belongs to the connection', async () => {
    const { url } = await serve(echo);
    const headers: [string, string][] = [
      ['X-Custom', 'yes'], ['Host', 'evil.test'], ['Content-Length', '999'], ['Transfer-Encoding', 'chunked'],
      ['Connection', 'upgrade'], ['Upgrade', 'h2c'], ['Expect', '100-continue'],
    ]; // biome-ignore format: a table
    const reply = await answer(await get(client(), url, { method: 'post', headers, body: Buffer.from('body') }));
    expect(reply).toMatchObject({ method: 'POST', body: 'body' });
    expect(reply.headers).toMatchObject({ 'x-custom': 'yes', host: new URL(url).host, 'content-length': '4' });
    expect(reply.headers).not.toHaveProperty('upgrade');
    expect(reply.headers).not.toHaveProperty('expect');
  });

  it.each([
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ])('%s with %i has no body, also when it says it is compressed', async (method, status) => {
    const { url } = await serve((_, response) => response.writeHead(status, { 'content-encoding': 'gzip' }).end());
    const fetcher = client();
    const reply = await get(fetcher, url, { method });
    expect([reply.head.status, reply.body, fetcher.open('p')]).toEqual([status, null, 0]);
  });

  it.each([
    ['X-A', 'a\r\nX-B: b'],
    ['X-A', 'a\nb'],
    ['X-A', 'a\0b'],
    ['X-A', 'snow ☃'],
    ['X A', 'a'],
    ['X-A\r\nX-B', 'a'],
    ['', 'a'],
  ])('refuses the header %j: %j', async (name, value) => {
    await expect(get(client(), 'http://127.0.0.1:1', { headers: [[name, value]] })).rejects.toEqual(
      coded('INVALID_HEADER'),
    );
  });

  it.each([
    ['ftp://127.0.0.1/', 'NET_DENIED'],
    ['file:///etc/passwd', 'NET_DENIED'],
    ['data:text/plain,x', 'NET_DENIED'],
    ['nonsense', 'BAD_REQUEST'],
    ['http://u:p@127.0.0.1/', 'BAD_REQUEST'],
  ])('refuses %s: %s', async (url, code) => {
    await expect(get(client(), url, { net: ['*'] })).rejects.toEqual(coded(code));
  });

  it.each(['CONNECT', 'TRACE', 'G ET', 'GET\r\n'])('refuses the method %j', async (method) => {
    await expect(get(client(), 'http://127.0.0.1:1', { method })).rejects.toEqual(coded('BAD_REQUEST'));
  });

  it('refuses a body with GET', async () => {
    await expect(get(client(), 'http://127.0.0.1:1', { body: Buffer.from('x') })).rejects.toEqual(coded('BAD_REQUEST'));
  });

  it('tells failures apart, without what lies beneath', async () => {
    const { url, server } = await serve(() => {});
    server.close();
    await once(server, 'close');
    await expect(get(client(), url)).rejects.toEqual(
      coded('NET_FAILED', `${url} can't be reached: it refused the connection.`),
    );
    const nowhere = () => Promise.reject(Object.assign(new TypeError('getaddrinfo'), { code: 'ENOTFOUND' }));
    await expect(get(client({ lookup: nowhere }), 'http://nowhere.test')).rejects.toEqual(
      coded('NET_FAILED', "http://nowhere.test can't be reached: the name is unknown."),
    );
    const tcp = createTcpServer((socket) => socket.end('this is not HTTP\r\n\r\n')).listen(0, '127.0.0.1');
    await once(tcp, 'listening');
    closers.push(() => tcp.close());
    const { port } = tcp.address() as AddressInfo;
    await expect(get(client(), `http://127.0.0.1:${port}`)).rejects.toEqual(
      coded('NET_FAILED', 'it did not answer in HTTP'),
    );
    const cut = await serve((_, response) => {
      response.writeHead(200, { 'content-length': 100 }).write('half');
      setTimeout(() => response.destroy(), 20);
    });
    await expect(text(await get(client(), cut.url))).rejects.toEqual(coded('NET_FAILED', 'the connection broke'));
  });
});

describe('addresses', () => {
  const to =
    (...addresses: string[]): Lookup =>
    async () =>
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));

  it('refuses what is not granted', async () => {
    const { url } = await serve(echo);
    await expect(get(client(), url, { net: ['https://api.example.com'] })).rejects.toEqual(
      coded('NET_DENIED', `p may not reach ${url}.`),
    );
  });

  it.each(['http://127.0.0.1:$', 'http://0x7f000001:$', 'http://017700000001:$', 'http://2130706433:$', 'http://127.1:$',
    'http://[::ffff:127.0.0.1]:$', 'http://[::1]:$', 'http://0.0.0.0:$', 'http://[::]:$', 'http://169.254.169.254',
    'http://localhost:$', 'http://10.0.0.1', 'http://[fd00::1]',
  ])('refuses %s under *', async (template) => {
    let asked = 0;
    const { port } = await serve((_, response) => {
      asked++;
      response.end();
    });
    await expect(get(client(), template.replace('$', String(port)), { net: ['*'] })).rejects.toEqual(
      coded('NET_ADDRESS_BLOCKED'),
    );
    expect(asked).toBe(0);
  }); // biome-ignore format: a list

  it('refuses a granted name that points to a private address, and does not say to which', async () => {
    const { port } = await serve(echo);
    const fetcher = client({ lookup: to('127.0.0.1') });
    const failure = await get(fetcher, `http://api.example.com:${port}`).catch((error: unknown) => error);
    expect(failure).toEqual(
      coded('NET_ADDRESS_BLOCKED', "api.example.com can't be reached: its address is in the loopback range."),
    );
    expect(String((failure as Error).stack)).not.toContain('127.0.0.1');
  });

  it('looks up once per connection and connects to exactly that: rebinding gains nothing', async () => {
    const { port } = await serve(echo);
    let lookups = 0;
    // A public answer to pass a check, a private one to connect to.
    const rebinding: Lookup = async () => [{ address: lookups++ === 0 ? '192.0.2.1' : '127.0.0.1', family: 4 }];
    const publicFirst: Lookup = async () => [{ address: lookups++ === 0 ? '93.184.215.14' : '127.0.0.1', family: 4 }];
    await expect(get(client({ lookup: rebinding }), `http://rebind.test:${port}`)).rejects.toEqual(
      coded('NET_ADDRESS_BLOCKED'),
    );
    expect(lookups).toBe(1);
    lookups = 0;
    const fetcher = client({ lookup: publicFirst, limits: { connectTimeoutMs: 150 } });
    // The public address does not answer here; what matters is that the loopback never does.
    await expect(get(fetcher, `http://rebind.test:${port}`)).rejects.toEqual(
      expect.objectContaining({ code: expect.stringMatching(/^NET_(TIMEOUT|FAILED)$/) }),
    );
    expect(lookups).toBe(1);
    await expect(get(fetcher, `http://rebind.test:${port}`)).rejects.toEqual(coded('NET_ADDRESS_BLOCKED'));
  });

  it('never tries the private one of several addresses', async () => {
    const { port } = await serve(echo);
    const fetcher = client({
      lookup: to('127.0.0.1', '93.184.215.14', '::ffff:127.0.0.1'),
      limits: { connectTimeoutMs: 150 },
    });
    await expect(get(fetcher, `http://mixed.test:${port}`)).rejects.toEqual(
      expect.objectContaining({ code: expect.stringMatching(/^NET_(TIMEOUT|FAILED)$/) }),
    );
  });

  it('reaches localhost when it is granted, by whichever address answers', async () => {
    const { port } = await serve(echo);
    const url = `http://localhost:${port}`;
    expect((await answer(await get(client({ lookup: to('::1', '127.0.0.1') }), url))).method).toBe('GET');
    await expect(get(client({ lookup: to('10.0.0.1') }), url)).rejects.toEqual(coded('NET_ADDRESS_BLOCKED'));
  });

  it('lets the operator’s URL be a private name, but not a metadata service', async () => {
    const { port } = await serve(echo);
    const url = `http://models.internal:${port}`;
    const wanted = { net: ['config:host'], config: { host: url } };
    expect((await answer(await get(client({ lookup: to('127.0.0.1') }), url, wanted))).method).toBe('GET');
    await expect(get(client({ lookup: to('169.254.169.254') }), url, wanted)).rejects.toEqual(
      coded('NET_ADDRESS_BLOCKED'),
    );
  });

  it('does not take a connection that was checked for another grant', async () => {
    const { port } = await serve(echo);
    const fetcher = client({ lookup: to('127.0.0.1') });
    const url = `http://models.internal:${port}`;
    await answer(await get(fetcher, url, { net: ['config:host'], config: { host: url } }));
    await expect(get(fetcher, url)).rejects.toEqual(coded('NET_ADDRESS_BLOCKED'));
  });
});

describe('redirects', () => {
  const redirecting =
    (to: () => string, status = 302): RequestListener =>
    (request, response) => {
      if (request.url === '/end') echo(request, response);
      else response.writeHead(status, { location: to() }).end('moved');
    };

  it('are followed on the same origin', async () => {
    const { url } = await serve(redirecting(() => '/end#x'));
    const reply = await get(client(), url, {
      headers: [
        ['authorization', 'mine'],
        ['cookie', 'a=1'],
      ],
    });
    expect(reply.head).toMatchObject({ redirected: true, url: `${url}/end` });
    expect((await answer(reply)).headers).toMatchObject({ authorization: 'mine', cookie: 'a=1' });
  });

  it('are checked at every hop', async () => {
    const inner = await serve(echo);
    const outer = await serve(redirecting(() => inner.url));
    await expect(get(client(), outer.url)).rejects.toEqual(coded('NET_DENIED', `p may not reach ${inner.url}.`));
    const metadata = await serve(redirecting(() => 'http://169.254.169.254/latest'));
    await expect(get(client(), metadata.url, { net: [metadata.url, '*'] })).rejects.toEqual(
      coded('NET_ADDRESS_BLOCKED'),
    );
    const file = await serve(redirecting(() => 'file:///etc/passwd'));
    await expect(get(client(), file.url)).rejects.toEqual(coded('NET_DENIED'));
  });

  it('take credentials and secrets no further than their origin', async () => {
    const inner = await serve(echo);
    const outer = await serve(redirecting(() => `http://u:p@${new URL(inner.url).host}/end`));
    const fetcher = client({ secretHosts: [new URL(outer.url).hostname] });
    const headers: [string, string][] = [
      ['authorization', 'mine'],
      ['cookie', 'a=1'],
      ['x-key', '{{secret:KEY}}'],
      ['x-other', 'stays'],
    ];
    const seen = (await answer(await get(fetcher, outer.url, { net: [outer.url, inner.url], headers }))).headers;
    expect(seen).toMatchObject({ 'x-other': 'stays' });
    for (const name of ['authorization', 'cookie', 'x-key']) expect(seen).not.toHaveProperty(name);
  });

  it.each([
    [301, 'POST', 'GET', ''],
    [302, 'POST', 'GET', ''],
    [303, 'POST', 'GET', ''],
    [303, 'PUT', 'GET', ''],
    [302, 'PUT', 'PUT', 'body'],
    [307, 'POST', 'POST', 'body'],
    [308, 'POST', 'POST', 'body'],
  ])('%i after %s becomes %s', async (status, method, next, body) => {
    const { url } = await serve(redirecting(() => '/end', status));
    const headers: [string, string][] = [['content-type', 'text/plain']];
    const seen = await answer(await get(client(), url, { method, headers, body: Buffer.from('body') }));
    expect(seen).toMatchObject({ method: next, body });
    expect(seen.headers['content-type']).toBe(body ? 'text/plain' : undefined);
  });

  it('can be refused or handed over', async () => {
    const { url } = await serve(redirecting(() => '/end'));
    await expect(get(client(), url, { redirect: 'error' })).rejects.toEqual(coded('NET_FAILED', 'redirects'));
    const reply = await get(client(), url, { redirect: 'manual' });
    expect([reply.head.status, await text(reply)]).toEqual([302, 'moved']);
  });

  it('end somewhere', async () => {
    const { url } = await serve(redirecting(() => '/again'));
    const fetcher = client({ limits: { maxRedirects: 3 } });
    await expect(get(fetcher, url)).rejects.toEqual(coded('NET_FAILED', 'More than 3 redirects.'));
    expect(fetcher.open('p')).toBe(0);
  });

  it('can’t repeat a streamed body', async () => {
    const { url } = await serve(redirecting(() => '/end', 307));
    const body = (async function* () {
      yield Buffer.from('once');
    })();
    await expect(get(client(), url, { method: 'POST', body })).rejects.toEqual(coded('NET_FAILED', 'streamed body'));
  });
});

describe('compressed answers', () => {
  const long = 'all work and no play '.repeat(50_000);

  it.each([
    ['gzip', gzipSync(long)],
    ['br', brotliCompressSync(long)],
    ['deflate', deflateSync(long)],
    ['deflate', deflateRawSync(long)],
    ['gzip, br', brotliCompressSync(gzipSync(long))],
  ])('%s', async (encoding, bytes) => {
    const { url } = await serve((_, response) => {
      response.writeHead(200, { 'content-encoding': encoding, 'content-length': bytes.length }).end(bytes);
    });
    const reply = await get(client(), url);
    expect(reply.head.headers.map(([name]) => name)).not.toEqual(expect.arrayContaining(['content-encoding']));
    expect(reply.head.headers.map(([name]) => name)).not.toEqual(expect.arrayContaining(['content-length']));
    expect((await text(reply)) === long).toBe(true);
  });

  it('in an unknown way are passed on as they are', async () => {
    const { url } = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'zap' }).end('?'));
    const reply = await get(client(), url);
    expect(reply.head.headers).toContainEqual(['content-encoding', 'zap']);
    expect(await text(reply)).toBe('?');
  });

  it('that are broken fail', async () => {
    for (const encoding of ['gzip', 'br', 'deflate']) {
      const { url } = await serve((_, response) =>
        response.writeHead(200, { 'content-encoding': encoding }).end(Buffer.alloc(200, 0xff)),
      );
      await expect(text(await get(client(), url))).rejects.toEqual(coded('NET_FAILED', 'can not be decompressed'));
    }
  });

  it('count decompressed', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000));
    const { url } = await serve((_, response) => response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb));
    await expect(text(await get(client({ limits: { maxResponseBytes: 1_000_000 } }), url))).rejects.toEqual(
      coded('NET_TOO_LARGE', 'larger than 1000000 bytes'),
    );
  });
});

describe('limits', () => {
  it('cut an endless answer, and its connection', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    const { url } = await serve((_, response) => {
      closed = once(response, 'close');
      const fill = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536)));
      };
      response.on('drain', fill);
      fill();
    });
    const fetcher = client({ limits: { maxResponseBytes: 1_000_000 } });
    await expect(text(await get(fetcher, url))).rejects.toEqual(coded('NET_TOO_LARGE'));
    await closed;
    expect(fetcher.open('p')).toBe(0);
  });

  it('cut an upload that is too large, whole or streamed', async () => {
    const { url } = await serve(echo);
    const fetcher = client({ limits: { maxRequestBytes: 1_000 } });
    await expect(get(fetcher, url, { method: 'POST', body: Buffer.alloc(1_001) })).rejects.toEqual(
      coded('NET_TOO_LARGE'),
    );
    let ended = false;
    const endless = (async function* () {
      try {
        for (;;) yield Buffer.alloc(300);
      } finally {
        ended = true;
      }
    })();
    await expect(get(fetcher, url, { method: 'POST', body: endless })).rejects.toEqual(coded('NET_TOO_LARGE'));
    expect(ended).toBe(true);
  });

  it('cut a server that is silent: before the head, and within the body', async () => {
    const silent = await serve(() => {});
    await expect(get(client({ limits: { headersTimeoutMs: 100 } }), silent.url)).rejects.toEqual(coded('NET_TIMEOUT'));
    const stuck = await serve((_, response) => void response.writeHead(200).write('begin'));
    const reply = await get(client({ limits: { idleTimeoutMs: 100 } }), stuck.url);
    await expect(text(reply)).rejects.toEqual(coded('NET_TIMEOUT'));
  });

  it('cut a name lookup that hangs', async () => {
    const fetcher = client({ lookup: () => new Promise(() => {}), limits: { connectTimeoutMs: 100 } });
    await expect(get(fetcher, 'http://slow.test')).rejects.toEqual(coded('NET_TIMEOUT'));
  });

  it('bound the open requests of each plugin; an answer counts until it is read or given up', async () => {
    const { url } = await serve((_, response) => response.end('x'));
    const fetcher = client({ limits: { maxConcurrent: 2 } });
    const first = await get(fetcher, url);
    const second = await get(fetcher, url);
    await expect(get(fetcher, url)).rejects.toEqual(coded('TOO_MANY_REQUESTS'));
    expect(await text(await get(fetcher, url, { plugin: 'other' }))).toBe('x');
    await text(first);
    expect(fetcher.open('p')).toBe(1);
    // Given up without ever having been started.
    await second.body?.[Symbol.asyncIterator]().return?.();
    expect(fetcher.open('p')).toBe(0);
    await expect(get(fetcher, 'http://127.0.0.1:1')).rejects.toEqual(coded('NET_FAILED'));
    expect(fetcher.open('p')).toBe(0);
  });
});

describe('streams', () => {
  it('arrive chunk by chunk', async () => {
    let response: ServerResponse | undefined;
    const { url } = await serve((_, given) => {
      response = given;
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('one');
    });
    const reader = (await get(client(), url)).body![Symbol.asyncIterator]();
    expect(String((await reader.next()).value)).toBe('one');
    response!.write('two');
    expect(String((await reader.next()).value)).toBe('two');
    response!.end();
    expect((await reader.next()).done).toBe(true);
  });

  it('are uploaded chunk by chunk, no faster than they are taken', async () => {
    let request: IncomingMessage | undefined;
    const { url } = await serve((given, response) => {
      request = given;
      given.on('end', () => response.end('thanks'));
    });
    let produced = 0;
    const body = (async function* () {
      for (; produced < 1_000; produced++) yield Buffer.alloc(65_536);
    })();
    const reply = get(client(), url, { method: 'POST', body });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(produced).toBeGreaterThan(0);
    expect(produced).toBeLessThan(500);
    let taken = 0;
    request!.on('data', (chunk: Buffer) => {
      taken += chunk.length;
    });
    expect(await text(await reply)).toBe('thanks');
    expect([produced, taken]).toEqual([1_000, 65_536_000]);
  });

  it('are read no faster than the reader asks', async () => {
    let written = 0;
    const { url } = await serve((_, response) => {
      const fill = () => {
        while (written < 64_000_000) {
          written += 65_536;
          if (!response.write(Buffer.alloc(65_536))) return;
        }
        response.end();
      };
      response.on('drain', fill);
      fill();
    });
    const reply = await get(client(), url);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(written).toBeLessThan(32_000_000);
    let read = 0;
    for await (const chunk of reply.body!) read += chunk.length;
    expect(read).toBe(written);
  });

  it('that fail at the plugin fail the request with its error', async () => {
    const { url } = await serve(echo);
    const body = (async function* () {
      yield Buffer.from('begin');
      throw Object.assign(new TypeError('guest stack'), {});
    })();
    await expect(get(client(), url, { method: 'POST', body })).rejects.toEqual(coded('NET_FAILED'));
  });
});

describe('abort', () => {
  function hanging(head: boolean) {
    const closed = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const listener: RequestListener = (_, response) => {
      response.on('close', () => closed.resolve());
      if (head) response.writeHead(200).write('begin');
      asked.resolve();
    };
    return { listener, closed: closed.promise, asked: asked.promise };
  }

  it('before the head closes the connection at once', async () => {
    const { listener, closed, asked } = hanging(false);
    const { url } = await serve(listener);
    const controller = new AbortController();
    const fetcher = client();
    const reply = get(fetcher, url, { signal: controller.signal });
    await asked;
    controller.abort();
    await expect(reply).rejects.toEqual(coded('CANCELLED'));
    await closed;
    expect(fetcher.open('p')).toBe(0);
  });

  it('within the body closes the connection at once, whether it is being read or not', async () => {
    for (const read of [true, false]) {
      const { listener, closed } = hanging(true);
      const { url } = await serve(listener);
      const controller = new AbortController();
      const fetcher = client();
      const reply = await get(fetcher, url, { signal: controller.signal });
      const reading = read ? text(reply) : undefined;
      reading?.catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 20));
      controller.abort();
      await closed;
      expect(fetcher.open('p')).toBe(0);
      await expect(reading ?? text(reply)).rejects.toEqual(coded('CANCELLED'));
    }
  });

  it('passes on why, when that is in the catalogue', async () => {
    const { AtollError } = await import('@atoll/plugin-sdk/contract');
    const controller = new AbortController();
    controller.abort(new AtollError('DEADLINE_EXCEEDED', 'too late'));
    await expect(get(client(), 'http://127.0.0.1:1', { signal: controller.signal })).rejects.toEqual(
      coded('DEADLINE_EXCEEDED', 'too late'),
    );
  });

  it('of the reader closes the connection, also of a compressed answer', async () => {
    for (const encoding of ['identity', 'gzip', 'deflate']) {
      const closed = Promise.withResolvers<void>();
      const { url } = await serve((_, response) => {
        response.on('close', () => closed.resolve());
        const bytes =
          encoding === 'gzip' ? gzipSync('x'.repeat(1e6)) : encoding === 'deflate' ? deflateSync('x'.repeat(1e6)) : 'x';
        response.writeHead(200, { 'content-encoding': encoding }).write(bytes);
      });
      const reply = await get(client(), url);
      for await (const chunk of reply.body!) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      await closed.promise;
    }
  });
});

describe('secrets', () => {
  it('are filled in for their hosts, and blackened in what comes back', async () => {
    let seen: string | undefined;
    const { url } = await serve((request, response) => {
      seen = request.headers.authorization;
      response.writeHead(200, { 'x-echo': seen });
      response.write(`you sent Bearer ${SECRET.slice(0, 5)}`);
      setTimeout(() => response.end(`${SECRET.slice(5)} to us`), 20);
    });
    const fetcher = client({ secretHosts: [new URL(url).host] });
    const reply = await get(fetcher, url, { headers: [['authorization', 'Bearer {{secret:KEY}}']] });
    expect(seen).toBe(`Bearer ${SECRET}`);
    expect(reply.head.headers).toContainEqual(['x-echo', `Bearer ${'*'.repeat(SECRET.length)}`]);
    expect(await text(reply)).toBe(`you sent Bearer ${'*'.repeat(SECRET.length)} to us`);
  });

  it('are refused for other hosts, before anything is sent', async () => {
    let asked = 0;
    const { url } = await serve(() => asked++);
    const headers: [string, string][] = [['authorization', '{{secret:KEY}}']];
    await expect(get(client({ secretHosts: ['api.example.com'] }), url, { headers })).rejects.toEqual(
      coded('SECRET_DENIED'),
    );
    expect(asked).toBe(0);
  });

  it('are not filled in outside header values', async () => {
    const { url } = await serve(echo);
    const fetcher = client({ secretHosts: ['127.0.0.1'] });
    const seen = await answer(await get(fetcher, url, { method: 'POST', body: Buffer.from('{{secret:KEY}}') }));
    expect(seen.body).toBe('{{secret:KEY}}');
  });

  it('that no header can carry are refused without being shown', async () => {
    const secrets = new ConfigSecretSource({ KEY: { value: 'line one\r\nX-Evil: line two', hosts: ['127.0.0.1'] } });
    const fetcher = new PluginFetch({ limits: defaults(), secrets });
    const failure = await get(fetcher, 'http://127.0.0.1:1', { headers: [['x-key', '{{secret:KEY}}']] }).catch(
      (error: unknown) => error,
    );
    expect(failure).toEqual(coded('INVALID_HEADER'));
    expect(JSON.stringify(failure) + String((failure as Error).stack)).not.toContain('line');
  });
});
