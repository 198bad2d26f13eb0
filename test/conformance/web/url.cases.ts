import { equal, ok, test, throws } from '../harness.js';

/** Input, base, href; null is a failure. */
const PARSED: [input: string, base: string | undefined, href: string | null][] = [
  ['http://example.com', undefined, 'http://example.com/'],
  ['HTTP://EXAMPLE.com:80/a/./b/../c', undefined, 'http://example.com/a/c'],
  ['https://user:pa%20ss@host:8443/p?q#f', undefined, 'https://user:pa%20ss@host:8443/p?q#f'],
  ['https://host:443/', undefined, 'https://host/'],
  ['  http://a/b\n', undefined, 'http://a/b'],
  ['ht\ntp://a/\tb', undefined, 'http://a/b'],
  ['http:\\\\a\\b\\c', undefined, 'http://a/b/c'],
  ['../x', 'http://a/b/c/d', 'http://a/b/x'],
  ['?q', 'http://a/b?old#f', 'http://a/b?q'],
  ['#f', 'http://a/b?q', 'http://a/b?q#f'],
  ['//other/p', 'https://a/b', 'https://other/p'],
  ['', 'http://a/b?q#f', 'http://a/b?q'],
  ['http://a/%2e%2E/b', undefined, 'http://a/b'],
  ['http://0x7f.1/', undefined, 'http://127.0.0.1/'],
  ['http://017700000001/', undefined, 'http://127.0.0.1/'],
  ['http://256.1.1.1/', undefined, null],
  ['http://1.2.3.4.5/', undefined, null],
  ['http://[::1]:80/', undefined, 'http://[::1]/'],
  ['http://[2001:DB8:0:0:1:0:0:1]/', undefined, 'http://[2001:db8::1:0:0:1]/'],
  ['http://[::ffff:1.2.3.4]/', undefined, 'http://[::ffff:102:304]/'],
  ['http://[::1', undefined, null],
  ['http://a b/', undefined, null],
  ['http://a%00b/', undefined, null],
  ['http://a:99999/', undefined, null],
  ['http:///nohost', undefined, 'http://nohost/'],
  ['http://', undefined, null],
  ['//x', undefined, null],
  ['mailto:a@b.c', undefined, 'mailto:a@b.c'],
  ['data:text/plain,a b#c d', undefined, 'data:text/plain,a b#c%20d'],
  ['javascript:alert(1)', undefined, 'javascript:alert(1)'],
  ['x', 'mailto:a@b', null],
  ['file:///C|/a/../b', undefined, 'file:///C:/b'],
  ['file:a', 'file:///x/y', 'file:///x/a'],
  ['non-special://a b', undefined, null],
  ['foo://h/p?q#f', undefined, 'foo://h/p?q#f'],
  ['http://a/ü?ü#ü', undefined, 'http://a/%C3%BC?%C3%BC#%C3%BC'],
  ['http://a/?q=\'"<>', undefined, 'http://a/?q=%27%22%3C%3E'],
  ['http://bücher.example/', undefined, 'http://xn--bcher-kva.example/'],
  ['http://FAß.de/', undefined, 'http://xn--fa-hia.de/'],
  ['http://☃.net/', undefined, 'http://xn--n3h.net/'],
  ['http://%E2%98%83.net/', undefined, 'http://xn--n3h.net/'],
  ['http://xn--n3h.net/', undefined, 'http://xn--n3h.net/'],
  ['http://xn--a/', undefined, 'http://xn--a/'],
  ['http://\u00ad/', undefined, null],
  ['http://\u0600.example/', undefined, null],
  ['http://ａ.com/', undefined, 'http://a.com/'],
  ['http://a\u00adb.com/', undefined, 'http://ab.com/'],
  ['http://a/\ud800', undefined, 'http://a/%EF%BF%BD'],
];

for (const [input, base, href] of PARSED) {
  test(`parses ${JSON.stringify(input)}${base ? ` against ${base}` : ''}`, () => {
    equal(URL.canParse(input, base), href !== null, 'canParse');
    equal(URL.parse(input, base)?.href ?? null, href, 'parse');
    if (href === null) throws(TypeError, () => new URL(input, base));
    else {
      const url = new URL(input, base);
      equal(url.href, href);
      equal(new URL(url.href).href, href, 'parsed once more');
    }
  });
}

test('has its parts', () => {
  const url = new URL('https://u:p@h.example:8080/a/b?x=1#y');
  equal(
    [url.protocol, url.username, url.password, url.host, url.hostname, url.port, url.pathname, url.search, url.hash],
    ['https:', 'u', 'p', 'h.example:8080', 'h.example', '8080', '/a/b', '?x=1', '#y'],
  );
  equal(url.origin, 'https://h.example:8080');
  equal(JSON.stringify({ url }), `{"url":"${url.href}"}`);
  equal(String(url), url.href);
});

test('origins of other schemes are opaque', () => {
  equal(new URL('file:///a').origin, 'null');
  equal(new URL('foo://h').origin, 'null');
  equal(new URL('blob:https://a.example/id').origin, 'https://a.example');
});

/** Property, value set, href after. */
const SET: [string, keyof URL, string, string][] = [
  ['http://a/', 'protocol', 'https', 'https://a/'],
  ['http://a/', 'protocol', 'foo', 'http://a/'],
  ['http://a:1/', 'host', 'b:2', 'http://b:2/'],
  ['http://a:1/', 'hostname', 'b:2', 'http://a:1/'],
  ['http://a:1/', 'port', '', 'http://a/'],
  ['http://a/', 'port', '8080x', 'http://a:8080/'],
  ['http://a/', 'port', '99999', 'http://a/'],
  ['http://a/x', 'pathname', 'b c', 'http://a/b%20c'],
  ['http://a/x', 'pathname', '?#', 'http://a/%3F%23'],
  ['http://a/?x', 'search', '', 'http://a/'],
  ['http://a/', 'search', 'y=1 2', 'http://a/?y=1%202'],
  ['http://a/', 'hash', '#z', 'http://a/#z'],
  ['http://a/', 'username', 'u@', 'http://u%40@a/'],
  ['mailto:x', 'username', 'u', 'mailto:x'],
  ['mailto:x', 'host', 'h', 'mailto:x'],
  ['http://a/b', 'href', 'http://c/d', 'http://c/d'],
];

for (const [start, property, value, href] of SET) {
  test(`sets ${property} of ${start} to ${JSON.stringify(value)}`, () => {
    const url = new URL(start);
    (url as unknown as Record<string, string>)[property] = value;
    equal(url.href, href);
  });
}

test('a malformed href is refused when set', () => {
  const url = new URL('http://a/');
  throws(TypeError, () => {
    url.href = 'nothing';
  });
  equal(url.href, 'http://a/');
});

test('searchParams and search follow each other', () => {
  const url = new URL('http://a/?x=1&y=2');
  const params = url.searchParams;
  ok(params === url.searchParams, 'the same object');
  params.append('z', 'a b&c');
  equal(url.href, 'http://a/?x=1&y=2&z=a+b%26c');
  url.search = '?q=%F0%9F%8D%A3';
  equal([...params], [['q', '🍣']]);
  params.delete('q');
  equal(url.href, 'http://a/');
});

const PARAMS: [string, [string, string][]][] = [
  ['', []],
  ['?a=b', [['a', 'b']]],
  ['a=b&a=c&=d&e', [['a', 'b'], ['a', 'c'], ['', 'd'], ['e', '']]], // biome-ignore format: one row
  ['a==b', [['a', '=b']]],
  ['a+b=c+d', [['a b', 'c d']]],
  ['a%20b=%zz%', [['a b', '%zz%']]],
  ['&&a=1&&', [['a', '1']]],
  ['a=%EF%BB%BFx', [['a', '\ufeffx']]],
  ['a=%FF', [['a', '\ufffd']]],
];

for (const [query, pairs] of PARAMS) {
  test(`reads the query ${JSON.stringify(query)}`, () => equal([...new URLSearchParams(query)], pairs));
}

test('URLSearchParams from pairs, records and other params', () => {
  equal(String(new URLSearchParams([['a', '1'], ['a', '2']])), 'a=1&a=2'); // biome-ignore format: one line
  equal(String(new URLSearchParams({ b: 'x y', c: 'é' })), 'b=x+y&c=%C3%A9');
  const first = new URLSearchParams('a=1');
  const second = new URLSearchParams(first);
  first.set('a', '2');
  equal(second.get('a'), '1');
  throws(TypeError, () => new URLSearchParams([['only one']] as never));
  throws(TypeError, () => new URLSearchParams([['a', 'b', 'c']] as never));
});

test('URLSearchParams get, getAll, has, set, delete with values, size', () => {
  const params = new URLSearchParams('a=1&b=2&a=3');
  equal([params.get('a'), params.get('x'), params.getAll('a'), params.size], ['1', null, ['1', '3'], 3]);
  equal([params.has('a', '3'), params.has('a', '9')], [true, false]);
  params.delete('a', '1');
  equal(String(params), 'b=2&a=3');
  params.set('b', 'new');
  params.set('c', '4');
  equal(String(params), 'b=new&a=3&c=4');
});

test('URLSearchParams sort is stable and by code units', () => {
  const params = new URLSearchParams('z=1&ﬃ=2&🌈=3&a=4&a=5');
  params.sort();
  equal([...params.keys()], ['a', 'a', 'z', '🌈', 'ﬃ']);
  equal(params.getAll('a'), ['4', '5']);
});

test('URLSearchParams serialises as forms do', () => {
  equal(String(new URLSearchParams([['a*-._', "!'()~ \u0000"]])), 'a*-._=%21%27%28%29%7E+%00');
});

test('URLSearchParams forEach and live iteration', () => {
  const params = new URLSearchParams('a=1&b=2&c=3');
  const seen: string[] = [];
  params.forEach((value, key, all) => {
    ok(all === params);
    seen.push(`${key}${value}`);
  });
  equal(seen, ['a1', 'b2', 'c3']);
  const kept: string[] = [];
  for (const [key] of params) {
    kept.push(key);
    params.delete(key);
  }
  equal(kept, ['a', 'c'], 'deleting while iterating skips');
});

test('classes are proper classes', () => {
  throws(TypeError, () => (URL as unknown as () => void)());
  equal(URL.name, 'URL');
  equal(Object.prototype.toString.call(new URL('http://a/')), '[object URL]');
  equal(Object.prototype.toString.call(new URLSearchParams()), '[object URLSearchParams]');
  throws(TypeError, () => Object.getOwnPropertyDescriptor(URL.prototype, 'href')!.get!.call({}));
});

test('URLPattern matches', () => {
  const pattern = new URLPattern({ pathname: '/users/:id/:rest*' });
  const found = pattern.exec('https://a.example/users/7/x/y');
  equal([found?.pathname.groups.id, found?.pathname.groups.rest], ['7', 'x/y']);
  equal(pattern.test('https://a.example/other'), false);
});
