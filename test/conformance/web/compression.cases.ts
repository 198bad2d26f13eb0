import {
  bytes,
  bytesIn,
  equal,
  fromHex,
  hex,
  ok,
  rejects,
  sleep,
  streamOf,
  test,
  text,
  throws,
  utf8,
} from '../harness.js';

const FORMATS = ['gzip', 'deflate', 'deflate-raw'] as const;
const compress = (format: CompressionFormat, ...chunks: Uint8Array<ArrayBuffer>[]) =>
  bytesIn(streamOf(...chunks).pipeThrough(new CompressionStream(format)));
const decompress = (format: CompressionFormat, ...chunks: Uint8Array<ArrayBuffer>[]) =>
  bytesIn(streamOf(...chunks).pipeThrough(new DecompressionStream(format)));

const PACKED: Record<(typeof FORMATS)[number], string> = {
  gzip: '1f8b0800000000000003cb48cdc9c95728cf2fca49010085114a0d0b000000',
  deflate: '789ccb48cdc9c95728cf2fca4901001a0b045d',
  'deflate-raw': 'cb48cdc9c95728cf2fca490100',
};

for (const format of FORMATS) {
  test(`${format}: round trip`, async () => {
    const input = utf8('hello world '.repeat(5_000));
    const packed = await compress(format, input.slice(0, 7), input.slice(7));
    ok(packed.length < 1_000, `${packed.length} bytes`);
    equal(text(await decompress(format, packed)), text(input));
  });

  test(`${format}: nothing is something`, async () => {
    const packed = await compress(format);
    ok(packed.length > 0);
    equal((await decompress(format, packed)).length, 0);
  });

  test(`${format}: byte by byte`, async () => {
    const packed = await compress(format, utf8('some text, some text'));
    equal(text(await decompress(format, ...[...packed].map((byte) => bytes(byte)))), 'some text, some text');
  });

  test(`${format}: broken data is a TypeError`, async () => {
    await rejects(TypeError, decompress(format, fromHex('ffffffffffffffffffff')), 'garbage');
    const packed = await compress(format, utf8('hello world'));
    await rejects(TypeError, decompress(format, packed.slice(0, -3)), 'cut short');
    await rejects(TypeError, decompress(format, packed, utf8('more')), 'something behind the end');
    await rejects(TypeError, decompress(format), 'nothing at all');
  });

  test(`${format}: incompressible data`, async () => {
    const input = new Uint8Array(300_000);
    for (let at = 0; at < input.length; at += 50_000) crypto.getRandomValues(input.subarray(at, at + 50_000));
    equal(hex(await decompress(format, await compress(format, input))) === hex(input), true);
  });
}

test('reads what others wrote', async () => {
  for (const format of FORMATS) equal(text(await decompress(format, fromHex(PACKED[format]))), 'hello world', format);
});

test('formats and chunks are checked', async () => {
  throws(TypeError, () => new CompressionStream('zip' as never));
  throws(TypeError, () => new DecompressionStream('GZIP' as never));
  throws(TypeError, () => new (CompressionStream as unknown as new () => unknown)());
  for (const Stream of [CompressionStream, DecompressionStream]) {
    const { readable, writable } = new Stream('gzip');
    const writer = writable.getWriter();
    const failed = rejects(TypeError, writer.write('text' as never));
    await rejects(TypeError, readable.getReader().read());
    await failed;
    await rejects(TypeError, writer.closed);
  }
});

test('compresses as it goes, for a reader that waits', async () => {
  const { readable, writable } = new CompressionStream('gzip');
  const reader = readable.getReader();
  const writer = writable.getWriter();
  void writer.write(utf8('x'));
  ok(((await reader.read()).value?.length ?? 0) > 0, 'the header at least');
  void writer.close();
  while (!(await reader.read()).done);
});

test('output waits until it is wanted', async () => {
  // 200 MB of zeros in 200 KB: to unpack them all would end this isolate.
  let left = 200;
  const zeros = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(1_000_000));
      else controller.close();
    },
  });
  const packed = await bytesIn(zeros.pipeThrough(new CompressionStream('gzip')));
  ok(packed.length < 400_000, `${packed.length}`);
  const reader = streamOf(packed).pipeThrough(new DecompressionStream('gzip')).getReader();
  let got = 0;
  for (let at = 0; at < 20; at++) got += (await reader.read()).value!.length;
  ok(got > 0 && got < 10_000_000, `${got}`);
  await sleep(5);
  await reader.cancel();
});

test('cancelled and aborted streams make room for others', async () => {
  for (let at = 0; at < 200; at++) {
    const { readable, writable } = new CompressionStream('gzip');
    const writer = writable.getWriter();
    void writer.write(bytes(1)).catch(() => {});
    await sleep(0);
    if (at % 2 === 0) await readable.cancel();
    else await writer.abort().catch(() => {});
    writer.closed.catch(() => {});
  }
  equal(text(await decompress('gzip', await compress('gzip', utf8('still works')))), 'still works');
});

test('works with responses', async () => {
  const packed = new Response(new Blob(['{"a":1}']).stream().pipeThrough(new CompressionStream('deflate')));
  equal(await new Response(packed.body!.pipeThrough(new DecompressionStream('deflate'))).json(), { a: 1 });
});
