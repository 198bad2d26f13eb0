import { bytes, bytesIn, equal, ok, test, text, throws, utf8 } from '../harness.js';

test('joins parts of all kinds', async () => {
  const blob = new Blob(['a', bytes(98, 99), utf8('xdx').subarray(1, 2).slice().buffer, new Blob(['e']), 5 as never]);
  equal([blob.size, await blob.text()], [6, 'abcde5']);
  equal(await new Blob([new DataView(utf8('view').buffer, 1, 2)]).text(), 'ie');
  equal(new Blob().size, 0);
  equal(new Blob([]).type, '');
});

test('refuses what is no sequence', () => {
  throws(TypeError, () => new Blob('abc' as never));
  throws(TypeError, () => new Blob(1 as never));
  throws(TypeError, () => new Blob(null as never));
  throws(TypeError, () => new Blob({} as never));
});

test('types are lower case and printable', () => {
  equal(new Blob([], { type: 'Text/HTML' }).type, 'text/html');
  equal(new Blob([], { type: 'a/\u00e9' }).type, '');
  equal(new Blob([], { type: 'a\u0000b' }).type, '');
});

test('size and type cannot be changed', () => {
  const blob = new Blob(['x'], { type: 'a/b' });
  equal([Reflect.set(blob, 'size', 5), Reflect.set(blob, 'type', 'c/d')], [false, false]);
  equal([blob.size, blob.type], [1, 'a/b']);
});

test('takes copies', async () => {
  const source = utf8('abc');
  const blob = new Blob([source]);
  source[0] = 0;
  equal(await blob.text(), 'abc');
});

const SLICES: [number | undefined, number | undefined, string][] = [
  [undefined, undefined, '0123456789'],
  [2, undefined, '23456789'],
  [2, 5, '234'],
  [-3, undefined, '789'],
  [-3, -1, '78'],
  [5, 2, ''],
  [0, 100, '0123456789'],
  [100, undefined, ''],
  [-100, 2, '01'],
];
for (const [start, end, expected] of SLICES) {
  test(`slice(${start}, ${end})`, async () => {
    const blob = new Blob(['012', '345', '6789']);
    equal(await blob.slice(start, end).text(), expected);
    equal(blob.slice(start, end).size, expected.length);
  });
}

test('a slice has its own type', () => {
  const blob = new Blob(['x'], { type: 'a/b' });
  equal([blob.slice().type, blob.slice(0, 1, 'C/D').type], ['', 'c/d']);
});

test('slices of slices', async () => {
  const blob = new Blob(['hello ', 'world']).slice(3, 9).slice(1, 4);
  equal(await blob.text(), 'o w');
});

test('reads as buffer, bytes, stream and text', async () => {
  const blob = new Blob(['hé', bytes(0xff)]);
  equal(new Uint8Array(await blob.arrayBuffer()), bytes(0x68, 0xc3, 0xa9, 0xff));
  equal(await blob.bytes(), bytes(0x68, 0xc3, 0xa9, 0xff));
  equal(await blob.text(), 'hé\ufffd');
  equal(await bytesIn(blob.stream()), bytes(0x68, 0xc3, 0xa9, 0xff));
  ok((await blob.bytes()) instanceof Uint8Array);
});

test('streams large blobs in pieces', async () => {
  const blob = new Blob([new Uint8Array(500_000), new Uint8Array(500_000).fill(1)]);
  const all = await bytesIn(blob.stream());
  equal([all.length, all[0], all[999_999]], [1_000_000, 0, 1]);
});

test('a stream can be cancelled', async () => {
  const reader = new Blob(['abc']).stream().getReader();
  await reader.cancel();
  equal((await reader.read()).done, true);
});

test('files have names and times', async () => {
  const before = Date.now();
  const file = new File(['x', 'y'], 'a/b.txt', { type: 'text/plain' });
  ok(file instanceof Blob);
  ok(file.lastModified >= before && file.lastModified <= Date.now());
  equal([file.name, file.type, file.size, await file.text()], ['a/b.txt', 'text/plain', 2, 'xy']);
  equal(new File([], 'n', { lastModified: 5 }).lastModified, 5);
  equal(new File([], 'n', { lastModified: new Date(7) as never }).lastModified, 7);
  throws(TypeError, () => new (File as unknown as new (parts: unknown[]) => File)([]));
});

test('are branded', () => {
  equal(Object.prototype.toString.call(new Blob()), '[object Blob]');
  equal(Object.prototype.toString.call(new File([], 'x')), '[object File]');
  throws(TypeError, () => Object.getOwnPropertyDescriptor(Blob.prototype, 'size')!.get!.call({}));
});

test('text of a large blob', async () => {
  equal(text(await new Blob(['ü'.repeat(100_000)]).arrayBuffer()).length, 100_000);
});
