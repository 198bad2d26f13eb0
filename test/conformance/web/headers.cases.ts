import { equal, ok, test, throws } from '../harness.js';

test('from an object, pairs, and other headers', () => {
  equal([...new Headers({ B: '2', a: '1' })], [['a', '1'], ['b', '2']]); // biome-ignore format: one line
  equal(new Headers([['x', '1'], ['X', '2']]).get('x'), '1, 2'); // biome-ignore format: one line
  equal(new Headers(new Headers({ a: '1' })).get('A'), '1');
  equal([...new Headers()], []);
  equal([...new Headers(undefined)], []);
  throws(TypeError, () => new Headers(null as never));
  throws(TypeError, () => new Headers('x' as never));
  throws(TypeError, () => new Headers([['a']] as never));
  throws(TypeError, () => new Headers([['a', 'b', 'c']] as never));
});

test('names are compared without case and listed in lower case, sorted', () => {
  const headers = new Headers();
  headers.append('Z-Last', '1');
  headers.append('Accept', 'a');
  headers.append('ACCEPT', 'b');
  equal([...headers.keys()], ['accept', 'z-last']);
  equal([...headers.values()], ['a, b', '1']);
  equal([...headers.entries()], [['accept', 'a, b'], ['z-last', '1']]); // biome-ignore format: one line
  equal(headers.get('aCCept'), 'a, b');
  equal(headers.has('ACCEPT'), true);
  headers.delete('Accept');
  equal(headers.get('accept'), null);
  equal(headers.has('accept'), false);
});

test('values lose white space around them', () => {
  equal(new Headers({ a: ' \t\r\nx y\n ' }).get('a'), 'x y');
  equal(new Headers({ a: '' }).get('a'), '');
});

const BAD_NAMES = ['', 'a b', 'a:b', 'é', 'a\n', '(x)', 'x\u0000', '"q"'];
for (const name of BAD_NAMES) {
  test(`refuses the name ${JSON.stringify(name)}`, () => {
    const headers = new Headers();
    throws(TypeError, () => headers.append(name, 'x'), 'append');
    throws(TypeError, () => headers.set(name, 'x'), 'set');
    throws(TypeError, () => headers.get(name), 'get');
    throws(TypeError, () => headers.has(name), 'has');
    throws(TypeError, () => headers.delete(name), 'delete');
    throws(TypeError, () => new Headers({ [name]: 'x' }), 'constructor');
  });
}

const BAD_VALUES = ['a\nb', 'a\r\nx-injected: 1', 'a\u0000b', '☃', 'a\rb'];
for (const value of BAD_VALUES) {
  test(`refuses the value ${JSON.stringify(value)}`, () => {
    const headers = new Headers();
    throws(TypeError, () => headers.append('x', value), 'append');
    throws(TypeError, () => headers.set('x', value), 'set');
    throws(TypeError, () => new Headers({ x: value }), 'constructor');
    throws(TypeError, () => new Request('http://a/', { headers: { x: value } }), 'request');
    throws(TypeError, () => new Response('', { headers: { x: value } }), 'response');
    throws(TypeError, () => new Response('', { statusText: value }), 'statusText');
  });
}

test('takes Latin-1 values', () => equal(new Headers({ a: 'é\u00ff' }).get('a'), 'é\u00ff'));

test('set-cookie is never joined', () => {
  const headers = new Headers([['set-cookie', 'a=1'], ['Set-Cookie', 'b=2, c'], ['x', 'y']]); // biome-ignore format: one line
  equal(headers.getSetCookie(), ['a=1', 'b=2, c']);
  equal([...headers], [['set-cookie', 'a=1'], ['set-cookie', 'b=2, c'], ['x', 'y']]); // biome-ignore format: one line
  equal(headers.get('set-cookie'), 'a=1, b=2, c');
  headers.delete('set-cookie');
  equal(headers.getSetCookie(), []);
});

test('set replaces all values', () => {
  const headers = new Headers([['a', '1'], ['a', '2']]); // biome-ignore format: one line
  headers.set('A', '3');
  equal(headers.get('a'), '3');
});

test('forEach gives value, name and the object', () => {
  const headers = new Headers({ b: '2', a: '1' });
  const seen: unknown[] = [];
  headers.forEach(function each(this: unknown, value, name, all) {
    ok(all === headers && this === seen);
    seen.push([name, value]);
  }, seen);
  equal(seen, [['a', '1'], ['b', '2']]); // biome-ignore format: one line
  throws(TypeError, () => headers.forEach(undefined as never));
});

test('iteration sees changes', () => {
  const headers = new Headers({ a: '1', b: '2', c: '3' });
  const seen: string[] = [];
  for (const [name] of headers) {
    seen.push(name);
    if (name === 'a') headers.delete('b');
  }
  equal(seen, ['a', 'c']);
});

test('reads a record in its own order, getters included, and stops at what throws', () => {
  const seen: string[] = [];
  const record = {
    get b() {
      seen.push('b');
      return '1';
    },
    get a() {
      seen.push('a');
      return '2';
    },
  };
  new Headers(record);
  equal(seen, ['b', 'a']);
  class Stop extends Error {}
  throws(Stop, () => new Headers({ get a(): string { throw new Stop(); } })); // biome-ignore format: one line
});

test('a response’s headers from a fetch-like error are immutable', () => {
  throws(TypeError, () => Response.error().headers.set('a', 'b'));
  throws(TypeError, () => Response.redirect('http://a/').headers.append('a', 'b'));
});

test('many headers stay quick to read', () => {
  const headers = new Headers(Array.from({ length: 5_000 }, (_, at) => [`x-${at}`, String(at)] as [string, string]));
  equal([...headers].length, 5_000);
});
