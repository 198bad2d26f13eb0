import { bytes, equal, ok, rejects, streamOf, test, text, throws, utf8 } from '../harness.js';

test('a request of a URL', () => {
  const request = new Request('http://a/b#c');
  equal([request.url, request.method, request.redirect], ['http://a/b#c', 'GET', 'follow']);
  equal([request.body, request.bodyUsed, request.keepalive], [null, false, false]);
  equal([...request.headers], []);
  ok(request.signal instanceof AbortSignal);
  equal(request.signal.aborted, false);
});

test('malformed requests are refused', () => {
  throws(TypeError, () => new Request('no url'));
  throws(TypeError, () => new Request('http://user:pass@a/'));
  throws(TypeError, () => new Request('http://a/', { method: 'CONNECT' }));
  throws(TypeError, () => new Request('http://a/', { method: 'TRACE' }));
  throws(TypeError, () => new Request('http://a/', { method: 'a b' }));
  throws(TypeError, () => new Request('http://a/', { method: 'GET', body: 'x' }));
  throws(TypeError, () => new Request('http://a/', { method: 'HEAD', body: 'x' }));
  throws(TypeError, () => new Request('http://a/', { redirect: 'nope' as never }));
  throws(TypeError, () => new Request('http://a/', { mode: 'navigate' }));
  throws(TypeError, () => new Request('http://a/', { signal: {} as never }));
  throws(TypeError, () => new Request('http://a/', { method: 'POST', body: streamOf(bytes(1)) }));
});

test('methods are normalised, but only the old ones', () => {
  equal(new Request('http://a/', { method: 'post' }).method, 'POST');
  equal(new Request('http://a/', { method: 'delete' }).method, 'DELETE');
  equal(new Request('http://a/', { method: 'PATCH' }).method, 'PATCH');
  equal(new Request('http://a/', { method: 'chicken' }).method, 'chicken');
});

test('a request of a request takes its parts over, and its body', async () => {
  const first = new Request('http://a/', { method: 'POST', headers: { x: '1' }, body: 'hi' });
  const second = new Request(first, { headers: { y: '2' } });
  equal([second.method, second.headers.get('x'), second.headers.get('y')], ['POST', null, '2']);
  equal(first.bodyUsed, true);
  equal(await second.text(), 'hi');
  throws(TypeError, () => new Request(first));
  const third = new Request(first, { body: 'new' });
  equal(await third.text(), 'new');
});

test('a request follows the signal it is given, also through copies', () => {
  const controller = new AbortController();
  const request = new Request('http://a/', { signal: controller.signal });
  const copy = new Request(request).clone();
  controller.abort('why');
  equal([request.signal.aborted, request.signal.reason], [true, 'why']);
  equal([copy.signal.aborted, copy.signal.reason], [true, 'why']);
  equal(new Request('http://a/', { signal: controller.signal }).signal.aborted, true);
});

test('content types follow the body unless given', () => {
  const type = (body: BodyInit, headers: HeadersInit = {}) =>
    new Request('http://a/', { method: 'POST', body, headers }).headers.get('content-type');
  equal(type('x'), 'text/plain;charset=UTF-8');
  equal(type(new URLSearchParams('a=1')), 'application/x-www-form-urlencoded;charset=UTF-8');
  equal(type(new Blob(['x'], { type: 'image/png' })), 'image/png');
  equal(type(new Blob(['x'])), null);
  equal(type(bytes(1)), null);
  equal(type('x', { 'content-type': 'application/json' }), 'application/json');
  ok(/^multipart\/form-data; ?boundary=/.test(type(new FormData()) ?? ''));
});

test('a response has its defaults', () => {
  const response = new Response();
  equal([response.status, response.statusText, response.ok, response.type], [200, '', true, 'default']);
  equal([response.url, response.redirected, response.body, response.bodyUsed], ['', false, null, false]);
});

test('malformed responses are refused', () => {
  throws(RangeError, () => new Response('', { status: 199 }));
  throws(RangeError, () => new Response('', { status: 600 }));
  throws(RangeError, () => new Response('', { status: 0 }));
  for (const status of [204, 205, 304]) throws(TypeError, () => new Response('x', { status }), String(status));
  equal(new Response(null, { status: 204 }).status, 204);
});

test('Response.json', async () => {
  const response = Response.json({ a: [1, 'é'] }, { status: 201, headers: { x: 'y' } });
  equal(
    [response.status, response.headers.get('content-type'), response.headers.get('x')],
    [201, 'application/json', 'y'],
  );
  equal(await response.text(), '{"a":[1,"é"]}');
  equal(Response.json(1, { headers: { 'content-type': 'a/b' } }).headers.get('content-type'), 'a/b');
  throws(TypeError, () => Response.json(undefined));
  throws(TypeError, () => Response.json(Symbol('x')));
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  throws(TypeError, () => Response.json(circle));
});

test('Response.redirect and Response.error', () => {
  const redirect = Response.redirect('http://a/b', 307);
  equal([redirect.status, redirect.headers.get('location')], [307, 'http://a/b']);
  throws(RangeError, () => Response.redirect('http://a/', 200));
  throws(TypeError, () => Response.redirect('no url'));
  const error = Response.error();
  equal([error.type, error.status, error.body], ['error', 0, null]);
});

/** What a body may be, and its bytes as text. */
const BODIES: Record<string, () => BodyInit> = {
  string: () => 'héllo',
  Uint8Array: () => utf8('héllo'),
  ArrayBuffer: () => utf8('héllo').buffer,
  DataView: () => new DataView(utf8('héllo').buffer),
  'part of a buffer': () => utf8('..héllo..').subarray(2, 8),
  Blob: () => new Blob(['hé', 'llo']),
  stream: () => streamOf(utf8('hé'), utf8('llo')),
  'stream cut within a character': () => streamOf(utf8('héllo').slice(0, 2), utf8('héllo').slice(2)),
};

for (const [kind, make] of Object.entries(BODIES)) {
  test(`a body from a ${kind} is read every way`, async () => {
    equal(await new Response(make()).text(), 'héllo');
    equal(text(await new Response(make()).arrayBuffer()), 'héllo');
    equal(text(await new Response(make()).bytes()), 'héllo');
    equal(await (await new Response(make()).blob()).text(), 'héllo');
    const init = { method: 'POST', body: make(), duplex: 'half' } as RequestInit;
    equal(await new Request('http://a/', init).text(), 'héllo');
  });
}

test('an empty body reads as empty', async () => {
  equal(await new Response().text(), '');
  equal((await new Response().arrayBuffer()).byteLength, 0);
  equal((await new Response().bytes()).length, 0);
  equal((await new Response().blob()).size, 0);
  await rejects(SyntaxError, new Response().json());
  await rejects(TypeError, new Response().formData());
});

test('a body is read once', async () => {
  const response = new Response('x');
  equal(response.bodyUsed, false);
  const first = response.text();
  equal(response.bodyUsed, true);
  equal(await first, 'x');
  for (const method of ['text', 'json', 'arrayBuffer', 'bytes', 'blob', 'formData'] as const)
    await rejects(TypeError, response[method](), method);
  throws(TypeError, () => response.clone());
});

test('a null body can be read again', async () => {
  const response = new Response(null);
  await response.text();
  equal(response.bodyUsed, false);
  equal(await response.text(), '');
});

test('a locked body cannot be read', async () => {
  const response = new Response('x');
  const reader = response.body!.getReader();
  await rejects(TypeError, response.text());
  throws(TypeError, () => response.clone());
  reader.releaseLock();
  equal(await response.text(), 'x');
});

test('a cancelled body counts as used', async () => {
  const response = new Response('x');
  await response.body!.cancel();
  equal(response.bodyUsed, true);
  await rejects(TypeError, response.text());
});

test('json reports what is not JSON and drops the byte order mark', async () => {
  await rejects(SyntaxError, new Response('{').json());
  equal(await new Response(bytes(0xef, 0xbb, 0xbf, 0x31)).json(), 1);
  equal(await new Response(bytes(0xef, 0xbb, 0xbf, 0x31)).text(), '1');
  equal(await new Response(bytes(0xff, 0x41)).text(), '\ufffdA');
});

test('bytes() and arrayBuffer() give own memory', async () => {
  const source = utf8('abc');
  const response = new Response(source);
  source[0] = 0;
  equal(text(await response.bytes()), 'abc');
});

test('blob() has the content type', async () => {
  equal((await new Response('x', { headers: { 'content-type': 'Image/PNG' } }).blob()).type, 'image/png');
});

test('a clone is independent', async () => {
  const response = new Response(streamOf(utf8('ab'), utf8('cd')), { status: 202, headers: { x: '1' } });
  const clone = response.clone();
  equal([clone.status, clone.headers.get('x')], [202, '1']);
  clone.headers.set('x', '2');
  equal(response.headers.get('x'), '1');
  equal(await response.text(), 'abcd');
  equal(response.bodyUsed, true);
  equal(clone.bodyUsed, false);
  equal(await clone.text(), 'abcd');
});

test('a clone of a request', async () => {
  const request = new Request('http://a/', { method: 'PUT', body: 'x' });
  const clone = request.clone();
  equal([await clone.text(), await request.text(), clone.method], ['x', 'x', 'PUT']);
});

test('a failing stream fails the body', async () => {
  const broken = () => new ReadableStream({ pull: () => Promise.reject(new RangeError('broken')) });
  await rejects(RangeError, new Response(broken()).text());
  await rejects(RangeError, new Response(broken()).arrayBuffer());
});

test('a stream of something else than bytes is refused when read', async () => {
  await rejects(TypeError, new Response(streamOf('text' as never)).text());
  await rejects(TypeError, new Response(streamOf(1 as never)).arrayBuffer());
});

test('a used or locked stream is no body', async () => {
  const locked = streamOf(bytes(1));
  locked.getReader();
  throws(TypeError, () => new Response(locked));
  const used = streamOf(bytes(1));
  await used.cancel();
  throws(TypeError, () => new Response(used));
});

test('urlencoded bodies become FormData', async () => {
  const response = new Response(new URLSearchParams([['a', '1'], ['a', 'é &'], ['b', '']])); // biome-ignore format: one line
  equal([...(await response.formData())], [['a', '1'], ['a', 'é &'], ['b', '']]); // biome-ignore format: one line
});

test('formData refuses other types', async () => {
  await rejects(TypeError, new Response('a=1').formData());
  await rejects(TypeError, new Response('a=1', { headers: { 'content-type': 'multipart/form-data' } }).formData());
});

test('a detached buffer is an empty body', async () => {
  const buffer = utf8('abc').buffer;
  buffer.transfer();
  equal(await new Response(buffer).text(), '');
});

test('large bodies', async () => {
  const big = new Uint8Array(3_000_000).fill(97);
  equal((await new Response(big).text()).length, 3_000_000);
  equal((await new Response(new Blob([big, big])).arrayBuffer()).byteLength, 6_000_000);
});
