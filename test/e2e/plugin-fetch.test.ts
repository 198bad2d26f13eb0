import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { startTestKernel, type TestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

/* `fetch` of a plugin, all the way: isolate, kernel, server, and back to a client. */

const LIMIT = 1_000_000;

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
const handlers = new Map<string, Handler>();
let upstream: Server;
let other: Server;
let base: string;
let foreign: string;
let kernel: TestKernel;
let plugin: PluginOnDisk;

const listen = async (handler: Handler) => {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
};

/** The plugin's routes run in turn what a test needs; `told` is what a handler returned. */
const SOURCE = (up: string, far: string) => `
  const UP = ${JSON.stringify(up)};
  const FAR = ${JSON.stringify(far)};
  const failure = (error) => ({ name: error.name, message: error.message, code: error.code, cause: error.cause?.message, type: Object.prototype.toString.call(error), typeError: error instanceof TypeError });
  const text = new TextEncoder();
  const told = [];
  http.get('/told', () => told);
  http.get('/get/:path', async ({ params }) => {
    try {
      const response = await fetch(UP + '/' + params.path);
      return { status: response.status, url: response.url, redirected: response.redirected, ok: response.ok, type: response.headers.get('content-type'), text: await response.text() };
    } catch (error) { return failure(error); }
  });
  http.post('/url', { body: Type.Object({ url: Type.String(), init: Type.Optional(Type.Any()) }) }, async ({ body }) => {
    try {
      const response = await fetch(body.url.replace('FAR', FAR).replace('UP', UP), body.init);
      return { status: response.status, url: response.url, redirected: response.redirected, location: response.headers.get('location'), headers: [...response.headers], cookies: response.headers.getSetCookie(), text: await response.text() };
    } catch (error) { return failure(error); }
  });
  http.get('/through/:path', async ({ params }) => {
    const response = await fetch(UP + '/' + params.path);
    return new Response(response.body, { status: response.status, headers: { 'content-type': 'text/plain' } });
  });
  http.get('/awaits/:path', { timeoutMs: 1500 }, async ({ params }) => { await null; return (await fetch(UP + '/' + params.path)).text(); });
  http.get('/posts/:path', { timeoutMs: 1500 }, async ({ params }) => { await null; return (await fetch(UP + '/' + params.path, { method: 'POST', body: 'x' })).text(); });
  http.get('/pingpong', async () => {
    let controller;
    const upload = new ReadableStream({ start: (it) => { controller = it; } });
    controller.enqueue(text.encode('one'));
    const response = await fetch(UP + '/echo', { method: 'POST', body: upload, duplex: 'half' });
    const reader = response.body.getReader();
    const decode = async () => new TextDecoder().decode((await reader.read()).value);
    const seen = [await decode()];
    controller.enqueue(text.encode('two'));
    seen.push(await decode());
    controller.close();
    return { seen, done: (await reader.read()).done };
  });
  http.get('/byob', async () => {
    const reader = (await fetch(UP + '/text')).body.getReader({ mode: 'byob' });
    const parts = [];
    for (;;) {
      const { done, value } = await reader.read(new Uint8Array(4));
      if (done) return parts;
      parts.push(new TextDecoder().decode(value));
    }
  });
  http.get('/passed-on', async () => {
    const from = await fetch(UP + '/text');
    const to = await fetch(UP + '/echo', { method: 'POST', body: from.body, duplex: 'half' });
    const again = await from.text().catch(failure);
    return { text: await to.text(), locked: from.body.locked, again: again.typeError };
  });
  http.get('/request-streams', async () => {
    let controller;
    const upload = new ReadableStream({ start: (it) => { controller = it; } });
    controller.enqueue(text.encode('one'));
    const request = new Request(UP + '/echo', { method: 'POST', body: upload, duplex: 'half' });
    const reader = (await fetch(request)).body.getReader();
    const first = new TextDecoder().decode((await reader.read()).value);
    controller.close();
    return { first, used: request.bodyUsed, done: (await reader.read()).done };
  });
  http.get('/large-upload', async () => {
    const part = new Uint8Array(1_000_000);
    try { return await (await fetch(UP + '/count', { method: 'POST', body: new Blob(Array.from({ length: 20 }, () => part)) })).text(); }
    catch (error) { return failure(error); }
  });
  http.get('/upload-fails', async () => {
    const upload = new ReadableStream({ start(c) { c.enqueue(text.encode('some')); }, pull: (c) => new Promise((r) => setTimeout(() => { c.error(new RangeError('broken upload')); r(); }, 20)) }, { highWaterMark: 0 });
    try { await fetch(UP + '/swallow', { method: 'POST', body: upload, duplex: 'half' }); return 'no error'; } catch (error) { return failure(error); }
  });
  http.get('/endless-upload', async () => {
    let cancelled = false;
    const upload = new ReadableStream({ pull: (c) => c.enqueue(new Uint8Array(65536)), cancel: () => { cancelled = true; } });
    try { await fetch(UP + '/swallow', { method: 'POST', body: upload, duplex: 'half' }); return 'no error'; }
    catch (error) { await new Promise((r) => setTimeout(r, 50)); return { ...failure(error), cancelled }; }
  });
  http.get('/abort/:when', async ({ params }) => {
    const controller = new AbortController();
    const signal = params.when === 'timeout' ? AbortSignal.timeout(80) : controller.signal;
    if (params.when === 'head') setTimeout(() => controller.abort(), 80);
    if (params.when === 'reason') setTimeout(() => controller.abort(new RangeError('my reason')), 80);
    try {
      const response = await fetch(UP + (params.when === 'body' ? '/drip' : '/hang'), { signal });
      const reader = response.body.getReader();
      await reader.read();
      controller.abort();
      await reader.read();
      return 'no error';
    } catch (error) { return failure(error); }
  });
  http.get('/background', () => { fetch(UP + '/hang').catch(() => {}); return new Promise((r) => setTimeout(r, 100, {})); });
  http.get('/cancel', async () => {
    const response = await fetch(UP + '/drip');
    for await (const _ of response.body) break;
    return 'left';
  });
  http.get('/bodies', async () => {
    const form = new FormData();
    form.append('a', 'b');
    form.append('f', new File(['file'], 'f.txt', { type: 'text/css' }));
    const bodies = { text: 'hé', bytes: new Uint8Array([1, 2]), blob: new Blob(['x'], { type: 'image/x' }), params: new URLSearchParams({ a: 'b c' }), form };
    const all = {};
    for (const [kind, body] of Object.entries(bodies)) all[kind] = await (await fetch(UP + '/show', { method: 'PUT', body })).json();
    all.request = await (await fetch(new Request(UP + '/show', { method: 'POST', body: 'r', headers: { 'x-own': '1', host: 'evil', 'content-length': '99' } }))).json();
    return all;
  });
  http.get('/clone', async () => {
    const response = await fetch(UP + '/text');
    const copy = response.clone();
    let immutable = false;
    try { response.headers.set('x', 'y'); } catch (error) { immutable = error instanceof TypeError; }
    return [await response.text(), await copy.text(), copy.url === UP + '/text', response.type, immutable, new Response(copy.body === null ? null : '', response).url];
  });
  http.get('/pull-context', { timeoutMs: 1500 }, () => new Response(new ReadableStream({
    async pull(c) { await null; told.push('pulled'); c.enqueue(new Uint8Array(await (await fetch(UP + '/hang')).arrayBuffer())); },
  }, { highWaterMark: 0 })));
`;

/** Whether the server's connection of a request was closed before its answer ended. */
const closings: Record<string, number> = {};
const counted =
  (name: string, handler: Handler): Handler =>
  (request, response) => {
    response.on('close', () => {
      if (!response.writableFinished) closings[name] = (closings[name] ?? 0) + 1;
    });
    handler(request, response);
  };

const read = async (request: IncomingMessage) => {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

beforeAll(async () => {
  ({ server: upstream, url: base } = await listen((request, response) => {
    const handler = handlers.get(request.url!.split('?')[0]!);
    if (handler) handler(request, response);
    else response.writeHead(404).end('nothing here');
  }));
  ({ server: other, url: foreign } = await listen((_, response) => response.end('foreign')));
  handlers.set('/text', (_, response) => response.setHeader('content-type', 'text/x').end('some text'));
  handlers.set(
    '/hang',
    counted('hang', () => {}),
  );
  handlers.set(
    '/swallow',
    counted('swallow', (request) => void request.resume()),
  );
  handlers.set('/echo', (request, response) => {
    response.writeHead(200);
    request.pipe(response);
  });
  handlers.set('/show', (request, response) => {
    const { method, headers } = request;
    void read(request).then((body) => response.end(JSON.stringify({ method, headers, body: body.toString('latin1') })));
  });
  handlers.set(
    '/drip',
    counted('drip', (_, response) => {
      response.write('drop');
    }),
  );
  plugin = writePlugin('fetcher', pluginSource(SOURCE(base, foreign)), {
    permissions: { net: [base] },
    limits: { memoryMb: 64, timeoutMs: 10_000 },
  });
  kernel = await startTestKernel({
    pluginPath: [plugin.dir],
    env: {
      ATOLL_NET__MAX_RESPONSE_BYTES: String(LIMIT),
      ATOLL_NET__MAX_REQUEST_BYTES: String(LIMIT),
      ATOLL_NET__HEADERS_TIMEOUT_MS: '3000',
      ATOLL_NET__IDLE_TIMEOUT_MS: '500',
      ATOLL_PLUGINS__DISABLED: '["hello","llm-router","provider-builtin","provider-ollama","provider-openai"]',
    },
  });
});

afterAll(async () => {
  await kernel?.stop();
  plugin?.remove();
  for (const server of [upstream, other]) {
    server?.closeAllConnections();
    server?.close();
  }
});

const get = async (path: string) => (await kernel.call(`/x/fetcher${path}`)).json();
const url = async (target: string, init?: object) =>
  (
    await kernel.call('/x/fetcher/url', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ url: target, init }),
    })
  ).json();
const closed = (name: string, before: number) =>
  vi.waitFor(() => expect(closings[name] ?? 0).toBeGreaterThan(before), { timeout: 5_000 });

describe('answers', () => {
  it('arrive with status, headers and body', async () => {
    const answer = { status: 200, ok: true, url: `${base}/text`, redirected: false, type: 'text/x', text: 'some text' };
    expect(await get('/get/text')).toEqual(answer);
    expect(await get('/get/nothing')).toMatchObject({ status: 404, ok: false, text: 'nothing here' });
  });

  it('keep every cookie, lose their compression, may be empty', async () => {
    handlers.set('/cookies', (_, response) => response.setHeader('set-cookie', ['a=1', 'b=2, c']).end());
    expect(await url('UP/cookies')).toMatchObject({ cookies: ['a=1', 'b=2, c'], text: '' });
    handlers.set('/packed', (_, response) => response.setHeader('content-encoding', 'gzip').end(gzipSync('unpacked')));
    const packed = (await url('UP/packed')) as { headers: [string, string][]; text: string };
    expect(packed.text).toBe('unpacked');
    expect(packed.headers.map(([name]) => name)).not.toContain('content-encoding');
    for (const status of [204, 205, 304]) {
      handlers.set('/empty', (_, response) => response.writeHead(status).end());
      expect(await url('UP/empty')).toMatchObject({ status, text: '' });
    }
    expect(await url('UP/text', { method: 'HEAD' })).toMatchObject({ status: 200, text: '' });
  });

  it('can be cloned, and keep what they are', async () =>
    expect(await get('/clone')).toEqual(['some text', 'some text', true, 'basic', true, '']));

  it('of data: URLs come from themselves', async () => {
    const got = async (target: string) => {
      const { status, text, headers } = (await url(target)) as {
        status: number;
        text: string;
        headers: [string, string][];
      };
      return [status, text, headers[0]?.[1]];
    };
    expect(await got('data:text/css,a%20b%C3%A9')).toEqual([200, 'a bé', 'text/css']);
    expect(await got('data:;base64,aGVsbG8')).toEqual([200, 'hello', 'text/plain;charset=US-ASCII']);
    expect(await url('data:text/plain')).toMatchObject({ typeError: true });
    expect(await url('data:;base64,*')).toMatchObject({ typeError: true });
  });

  it('can be held to a digest', async () => {
    const digest = (algorithm: string, text = 'some text') =>
      `${algorithm}-${createHash(algorithm).update(text).digest('base64')}`;
    for (const integrity of [digest('sha256'), `${digest('sha256', 'x')} ${digest('sha384')}?a`, 'nonsense'])
      expect(await url('UP/text', { integrity }), integrity).toMatchObject({ status: 200, text: 'some text' });
    for (const integrity of [digest('sha256', 'x'), `${digest('sha256')} ${digest('sha512', 'x')}`])
      expect(await url('UP/text', { integrity }), integrity).toMatchObject({ typeError: true });
  });

  it('can be read into memory of one’s own', async () => expect(await get('/byob')).toEqual(['some', ' tex', 't']));

  it('can be passed on, once', async () =>
    expect(await get('/passed-on')).toEqual({ text: 'some text', locked: true, again: true }));

  it('stream through to the client, chunk by chunk', async () => {
    let send!: (text: string) => void;
    let end!: () => void;
    handlers.set('/live', (_, response) => {
      send = (text) => response.write(text);
      end = () => response.end();
      send('one');
    });
    const response = await kernel.call('/x/fetcher/through/live');
    const reader = response.body!.getReader();
    const next = async () => new TextDecoder().decode((await reader.read()).value);
    expect(await next()).toBe('one');
    send('two');
    expect(await next()).toBe('two');
    end();
    expect((await reader.read()).done).toBe(true);
  });

  it('are not read ahead of a slow client, and end when it leaves', async () => {
    let sent = 0;
    handlers.set(
      '/endless',
      counted('endless', (_, response) => {
        const chunk = Buffer.alloc(65_536);
        const more = () => {
          while (!response.destroyed && sent < 500_000_000) {
            sent += chunk.length;
            if (!response.write(chunk)) return;
          }
        };
        response.on('drain', more);
        more();
      }),
    );
    const before = closings.endless ?? 0;
    const response = await kernel.call('/x/fetcher/through/endless');
    const reader = response.body!.getReader();
    await reader.read();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(sent).toBeLessThan(60_000_000);
    await reader.cancel();
    await closed('endless', before);
  });
});

describe('request bodies', () => {
  it('of all kinds arrive with their type and length', async () => {
    const all = (await get('/bodies')) as Record<
      string,
      { method: string; headers: Record<string, string>; body: string }
    >;
    expect(all.text).toMatchObject({
      method: 'PUT',
      body: 'h\u00c3\u00a9',
      headers: { 'content-type': 'text/plain;charset=UTF-8', 'content-length': '3' },
    });
    expect(all.bytes!.body).toBe('\u0001\u0002');
    expect(all.bytes!.headers['content-type']).toBeUndefined();
    expect(all.blob).toMatchObject({ body: 'x', headers: { 'content-type': 'image/x' } });
    expect(all.params).toMatchObject({
      body: 'a=b+c',
      headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' },
    });
    expect(all.form!.headers['content-type']).toMatch(/^multipart\/form-data; ?boundary=/);
    expect(all.form!.body).toMatch(/name="f"; filename="f.txt"\r\nContent-Type: text\/css\r\n\r\nfile\r\n/);
    expect(all.request).toMatchObject({
      body: 'r',
      headers: { 'x-own': '1', host: new URL(base).host, 'content-length': '1' },
    });
  });

  it('stream while the answer does', async () =>
    expect(await get('/pingpong')).toEqual({ seen: ['one', 'two'], done: true }));

  it('stream from a Request as well', async () =>
    expect(await get('/request-streams')).toEqual({ first: 'one', used: true, done: true }));

  it('larger than a frame are streamed', async () => {
    let size = 0;
    handlers.set('/count', (request) => request.on('data', (chunk: Buffer) => (size += chunk.length)));
    expect(await get('/large-upload')).toMatchObject({ typeError: true, code: 'NET_TOO_LARGE' });
    expect(size).toBeGreaterThan(0);
  });

  it('that fail in the plugin fail its fetch, and the connection', async () => {
    const before = closings.swallow ?? 0;
    expect(await get('/upload-fails')).toMatchObject({
      typeError: true,
      cause: expect.stringContaining('broken upload'),
    });
    await closed('swallow', before);
  });

  it('without an end are cut at the limit, and their source is told', async () => {
    expect(await get('/endless-upload')).toMatchObject({ typeError: true, code: 'NET_TOO_LARGE', cancelled: true });
  });
});

describe('aborting', () => {
  it.each([
    ['head', 'hang', { name: 'AbortError', type: '[object DOMException]' }],
    ['body', 'drip', { name: 'AbortError', type: '[object DOMException]' }],
    ['timeout', 'hang', { name: 'TimeoutError', type: '[object DOMException]' }],
    ['reason', 'hang', { name: 'RangeError', message: 'my reason' }],
  ])('by %s reaches the server', async (when, path, failure) => {
    const before = closings[path] ?? 0;
    expect(await get(`/abort/${when}`)).toMatchObject(failure);
    await closed(path, before);
  });

  it('leaving a body reaches the server', async () => {
    const before = closings.drip ?? 0;
    expect(await get('/cancel')).toBe('left');
    await closed('drip', before);
  });

  it.each(['awaits', 'posts'])('a client that leaves takes the plugin’s request with it (%s)', async (route) => {
    const before = closings.hang ?? 0;
    const controller = new AbortController();
    const call = kernel.call(`/x/fetcher/${route}/hang`, { signal: controller.signal });
    call.catch(() => {});
    await new Promise((resolve) => setTimeout(resolve, 150));
    expect(closings.hang ?? 0).toBe(before);
    controller.abort();
    // Well before any time limit.
    await vi.waitFor(() => expect(closings.hang ?? 0).toBeGreaterThan(before), { timeout: 1_000 });
  });

  it.each(['awaits', 'posts'])('so does a deadline (%s)', async (route) => {
    const before = closings.hang ?? 0;
    const response = await kernel.call(`/x/fetcher/${route}/hang`);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([504, 'PLUGIN_TIMEOUT']);
    await vi.waitFor(() => expect(closings.hang ?? 0).toBeGreaterThan(before), { timeout: 1_000 });
  });

  it('a request from within a stream’s pull belongs to the call as well', async () => {
    const before = closings.hang ?? 0;
    const response = await kernel.call('/x/fetcher/pull-context');
    const reader = response.body!.getReader();
    const first = reader.read();
    first.catch(() => {});
    await vi.waitFor(async () => expect(await get('/told')).toContain('pulled'));
    await reader.cancel();
    await vi.waitFor(() => expect(closings.hang ?? 0).toBeGreaterThan(before), { timeout: 1_000 });
  });
});

describe('redirects', () => {
  beforeAll(() => {
    const to = (path: string, status: number, target: () => string) =>
      handlers.set(path, (_, response) => response.writeHead(status, { location: target() }).end('moved'));
    to('/moved', 302, () => '/text');
    to('/see', 303, () => '/show');
    to('/kept', 307, () => '/show');
    to('/away', 302, () => `${foreign}/`);
    to('/metadata', 302, () => 'http://169.254.169.254/latest/meta-data/');
    to('/circle', 302, () => '/circle');
  });

  it('are followed, and show', async () => {
    expect(await url('UP/moved')).toMatchObject({
      status: 200,
      redirected: true,
      url: `${base}/text`,
      text: 'some text',
    });
  });

  it('can be refused, or handed over', async () => {
    expect(await url('UP/moved', { redirect: 'error' })).toMatchObject({ typeError: true, code: 'NET_FAILED' });
    expect(await url('UP/moved', { redirect: 'manual' })).toMatchObject({
      status: 302,
      location: '/text',
      redirected: false,
    });
  });

  it('change the method as browsers do', async () => {
    const post = { method: 'POST', body: 'b' };
    const shown = async (path: string) => JSON.parse(((await url(path, post)) as { text: string }).text) as object;
    expect(await shown('UP/see')).toMatchObject({ method: 'GET', body: '' });
    expect(await shown('UP/kept')).toMatchObject({ method: 'POST', body: 'b' });
  });

  it('lead nowhere that is not granted, and end', async () => {
    const denied = { name: 'TypeError', code: 'NET_DENIED' };
    expect(await url('UP/away')).toMatchObject({ ...denied, message: expect.stringContaining(foreign) });
    expect(await url('UP/metadata')).toMatchObject({ ...denied, message: expect.stringContaining('169.254.169.254') });
    expect(await url('UP/circle')).toMatchObject({ code: 'NET_FAILED', message: expect.stringContaining('redirects') });
  });
});

describe('limits and refusals are readable', () => {
  it.each([
    ['FAR/', 'NET_DENIED'],
    ['http://localhost:1/', 'NET_DENIED'],
    ['http://[::1]/', 'NET_DENIED'],
    ['http://169.254.169.254/', 'NET_DENIED'],
    ['http://0x7f000001/', 'NET_DENIED'],
    ['file:///etc/passwd', undefined],
    ['not a url', undefined],
    ['http://user:word@127.0.0.1/', undefined],
  ])('%s', async (target, code) => {
    const failure = (await url(target)) as { typeError: boolean; code?: string; message: string };
    expect(failure.typeError, JSON.stringify(failure)).toBe(true);
    if (code) expect(failure.code).toBe(code);
    expect(failure.message.length).toBeGreaterThan(10);
    expect(JSON.stringify(failure)).not.toMatch(/node:|\/kernel\//);
  });

  it('answers that are too large fail while they are read', async () => {
    handlers.set('/large', (_, response) => response.end(Buffer.alloc(LIMIT + 1)));
    expect(await get('/get/large')).toMatchObject({ typeError: true, code: 'NET_TOO_LARGE' });
    handlers.set('/bomb', (_, response) =>
      response.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(50_000_000))),
    );
    expect(await get('/get/bomb')).toMatchObject({ typeError: true, code: 'NET_TOO_LARGE' });
    handlers.set('/fits', (_, response) => response.end('x'.repeat(LIMIT)));
    expect(((await get('/get/fits')) as { text: string }).text).toHaveLength(LIMIT);
  });

  it('silent servers are given up: before the head, and within the body', async () => {
    expect(await get('/get/hang')).toMatchObject({ typeError: true, code: 'NET_TIMEOUT' });
    expect(await get('/get/drip')).toMatchObject({ typeError: true, code: 'NET_TIMEOUT' });
  });

  it('servers that break off do not look like an end', async () => {
    handlers.set('/broken', (_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('some');
      setTimeout(() => response.destroy(), 20);
    });
    expect(await get('/get/broken')).toMatchObject({ typeError: true, code: 'NET_FAILED' });
  });

  it('a stopped plugin leaves no request behind', async () => {
    const before = closings.hang ?? 0;
    await get('/background');
    await kernel.call('/api/v1/plugins/fetcher/disable', { method: 'POST' });
    await vi.waitFor(() => expect(closings.hang ?? 0).toBeGreaterThan(before), { timeout: 1_000 });
  });
});
