import { bytes, equal, ok, test, throws } from '../harness.js';

const PLAIN: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  true: true,
  number: 1.5,
  NaN: Number.NaN,
  '-0': -0,
  BigInt: 12n,
  string: 'a\ud800',
  array: [1, 'x', [2]],
  object: { a: { b: 1 }, c: [] },
  date: new Date(5),
  map: new Map<unknown, unknown>([['a', 1], [{}, 2]]), // biome-ignore format: one line
  set: new Set([1, 'x']),
  bytes: bytes(1, 2, 3),
  'float array': new Float64Array([1.5, -0]),
  'BigInt array': new BigInt64Array([1n]),
  buffer: bytes(9).buffer,
};
for (const [what, value] of Object.entries(PLAIN)) {
  test(`clones ${what}`, () => {
    const clone = structuredClone(value);
    equal(clone, value);
    if (typeof value === 'object' && value !== null) ok(clone !== value, 'another object');
  });
}

test('clones boxed values, regular expressions and invalid dates', () => {
  const boxed = structuredClone(Object(5)) as object;
  ok(boxed instanceof Number && Number(boxed) === 5);
  ok(structuredClone(Object('s')) instanceof String);
  ok(structuredClone(Object(false)) instanceof Boolean);
  ok(Number.isNaN(structuredClone(new Date(Number.NaN)).getTime()));
  const regular = /a+/gi;
  regular.lastIndex = 2;
  const clone = structuredClone(regular);
  equal([clone.source, clone.flags, clone.lastIndex], ['a+', 'gi', 0]);
});

test('keeps identity and cycles', () => {
  const shared = { x: 1 };
  const value: Record<string, unknown> = { a: shared, b: shared, list: [shared] };
  value.self = value;
  const clone = structuredClone(value);
  ok(clone.a === clone.b && (clone.list as unknown[])[0] === clone.a && clone.self === clone);
  const map = new Map<unknown, unknown>();
  map.set(map, map);
  const cloned = structuredClone(map);
  ok(cloned.get(cloned) === cloned);
});

test('keeps holes, and properties of arrays', () => {
  const list = Object.assign(new Array<unknown>(3), { 0: 1, 2: 3, extra: 'x' });
  const clone = structuredClone(list);
  equal([clone.length, 1 in clone, clone.extra], [3, false, 'x']);
});

test('drops prototypes, symbols, accessors become values', () => {
  class Thing {
    a = 1;
    get b() {
      return 2;
    }
  }
  const clone = structuredClone(new Thing()) as object;
  equal([Object.getPrototypeOf(clone) === Object.prototype, 'a' in clone, 'b' in clone], [true, true, false]);
  const got = structuredClone({ get x() { return 7; }, [Symbol('s')]: 1 }); // biome-ignore format: one line
  equal(Object.getOwnPropertyDescriptor(got, 'x')?.value, 7);
  equal(Object.getOwnPropertySymbols(got), []);
});

test('clones errors', () => {
  const error = structuredClone(new RangeError('m', { cause: { a: 1 } }));
  ok(error instanceof RangeError);
  equal([error.name, error.message, error.cause], ['RangeError', 'm', { a: 1 }]);
  class Own extends Error {
    override name = 'Own';
  }
  const own = structuredClone(new Own('x'));
  equal([own.name, own.constructor === Error], ['Error', true]);
  const exception = structuredClone(new DOMException('m', 'AbortError'));
  ok(exception instanceof DOMException);
  equal([exception.name, exception.message], ['AbortError', 'm']);
});

test('clones blobs and files', async () => {
  const file = structuredClone({ f: new File(['x'], 'n', { type: 'a/b', lastModified: 3 }), b: new Blob(['y']) });
  ok(file.f instanceof File && file.b instanceof Blob);
  equal(
    [file.f.name, file.f.type, file.f.lastModified, await file.f.text(), await file.b.text()],
    ['n', 'a/b', 3, 'x', 'y'],
  );
});

test('views of one buffer still share it', () => {
  const buffer = new ArrayBuffer(8);
  const clone = structuredClone({ a: new Uint8Array(buffer, 2, 2), b: new DataView(buffer, 4), buffer });
  ok(clone.a.buffer === clone.buffer && clone.b.buffer === clone.buffer);
  equal([clone.a.byteOffset, clone.a.length, clone.b.byteOffset], [2, 2, 4]);
});

test('transfers buffers', () => {
  const buffer = bytes(1, 2).buffer;
  const view = new Uint8Array(buffer);
  const clone = structuredClone({ view, buffer }, { transfer: [buffer] });
  equal([buffer.byteLength, view.length], [0, 0]);
  equal([clone.view, clone.view.buffer === clone.buffer], [bytes(1, 2), true]);
  throws('DataCloneError', () => structuredClone(1, { transfer: [buffer] }), 'detached');
  throws('DataCloneError', () => structuredClone(1, { transfer: [{}] as never }));
  const other = new ArrayBuffer(1);
  throws('DataCloneError', () => structuredClone(1, { transfer: [other, other] }), 'twice');
  equal(other.byteLength, 1, 'still there');
});

for (const [what, value] of Object.entries({
  function: () => {},
  symbol: Symbol('x'),
  'a nested function': { a: [() => {}] },
  WeakMap: new WeakMap(),
  Promise: Promise.resolve(),
  Response: new Response(''),
  URL: new URL('http://a/'),
  Headers: new Headers(),
  AbortSignal: AbortSignal.abort(),
})) {
  test(`refuses ${what}`, () => throws('DataCloneError', () => structuredClone(value)));
}

test('an error of a getter comes through', () => {
  class Stop extends Error {}
  throws(Stop, () => structuredClone({ get x() { throw new Stop(); } })); // biome-ignore format: one line
  throws(TypeError, () => (structuredClone as () => void)());
});
