import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { plainRequest } from './plain-request.js';

const URL_TEXT = 'http://127.0.0.1:11434/api/chat';

/** What makes the difference between plain and not. */
const mostly = <T, U>(good: fc.Arbitrary<T>, any: fc.Arbitrary<U>) =>
  fc.oneof({ arbitrary: good, weight: 3 }, { arbitrary: any, weight: 1 });
const headerName = mostly(
  fc.constantFrom('accept', 'Accept', 'content-type', 'X-Own'),
  fc.constantFrom('a b', '', 'é'),
);
const headerValue = mostly(
  fc.constantFrom('application/json', 'a\tb', '', 'Bearer {{secret:KEY}}'),
  fc.oneof(fc.constantFrom(' padded ', 'é', '\n', '漢', 5, null), fc.string({ maxLength: 4 })),
);
const headers = mostly(
  fc.array(fc.tuple(headerName, headerValue), { maxLength: 3 }).map(Object.fromEntries),
  fc.constantFrom(undefined, null, [], [['a', 'b']], new Headers({ a: 'b' }), 5),
);
const init = fc.record(
  {
    method: mostly(
      fc.constantFrom('GET', 'HEAD', 'POST', 'PATCH'),
      fc.constantFrom(undefined, 'get', 'patch', 'PURGE', 'TRACE', '', null, 5),
    ),
    headers,
    body: mostly(
      fc.constantFrom(undefined, null, 'text', '', '\ud800', 'ü漢😀'),
      fc.oneof(fc.constantFrom(5, new URLSearchParams({ a: 'b' })), fc.uint8Array({ maxLength: 4 })),
    ),
    redirect: mostly(fc.constantFrom('follow', 'error', 'manual'), fc.constantFrom(undefined, 'other', null)),
    signal: mostly(
      fc.constantFrom(undefined, AbortSignal.abort('gone'), new AbortController().signal),
      fc.constantFrom(null, {}),
    ),
    integrity: fc.constant('sha256-x'),
  },
  { requiredKeys: ['method'] },
);
const url = fc.oneof(
  fc.constantFrom(
    ...[
      URL_TEXT,
      'https://example.com',
      'HTTP://EXAMPLE.com/a/../b?q=ü#x',
      'http://user:pw@host/',
      'data:,x',
      '/a',
      '',
    ],
    ...['http://', 'http://a b/', 'ftp://host/', ' http://host/', 'http://host/%zz?a=\'"', 'http://bücher.example/'],
  ),
  fc.webUrl({ withFragments: true, withQueryParameters: true }),
);

/** The same by way of the standard's class. */
async function byRequest(input: unknown, options: unknown) {
  const request = new Request(input as string, options as RequestInit);
  const { method, redirect, body } = request;
  return {
    head: { url: request.url, method, headers: [...request.headers].sort(), redirect },
    body: body === null ? null : await request.text(),
  };
}

describe('plainRequest', () => {
  it('gives what a Request would come to, or nothing', async () => {
    await fc.assert(
      fc.asyncProperty(url, init, async (input, options) => {
        const plain = plainRequest(input, options as RequestInit);
        if (!plain) return;
        const { head, body, signal } = plain;
        const sent = { head: { ...head, headers: head.headers.sort() }, body: body?.toWellFormed() ?? null };
        expect(sent).toEqual(await byRequest(input, options));
        expect(signal).toBe(options.signal ?? null);
      }),
      { numRuns: 5_000 },
    );
  });

  it.each([
    [undefined],
    [{}],
    [{ signal: AbortSignal.abort() }],
    [{ method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }],
    [
      {
        method: 'POST',
        headers: Object.assign(Object.create(null) as object, { accept: '*/*' }),
        body: 'x',
        redirect: 'error',
      },
    ],
    [{ method: 'DELETE' }],
  ])('knows %j', (options) => {
    expect(plainRequest(URL_TEXT, options as RequestInit)).toBeDefined();
    expect(plainRequest(new URL(URL_TEXT), options as RequestInit)?.head.url).toBe(URL_TEXT);
  });

  it.each([
    ['a member that a plain one has not', URL_TEXT, { keepalive: true }],
    ['a class of its own', URL_TEXT, new (class { method = 'GET'; })()],
    ['a body for GET', URL_TEXT, { body: 'x' }],
    ['bytes', URL_TEXT, { method: 'POST', body: new Uint8Array(1) }],
    ['a text that has to be streamed', URL_TEXT, { method: 'POST', body: 'x'.repeat(6_000_000) }],
    ['a header in two spellings', URL_TEXT, { headers: { accept: 'a', Accept: 'b' } }],
    ['a header with a space in its name', URL_TEXT, { headers: { 'a b': 'c' } }],
    ['a header with a line break', URL_TEXT, { headers: { accept: 'a\r\nb: c' } }],
    ['what only looks like a signal', URL_TEXT, { signal: { aborted: false } }],
    ['a method that is made into text', URL_TEXT, { method: ['POST'] }],
    ['a Request', new Request(URL_TEXT), undefined],
    ['credentials', 'http://user:secret@host/', undefined],
    ['no URL', 'nonsense', undefined],
    ['another scheme', 'data:text/plain,x', undefined],
  ])('leaves %s to the standard’s class', (_, input, options) => {
    expect(plainRequest(input, options as RequestInit)).toBeUndefined();
  }); // biome-ignore format: one case a line
});
