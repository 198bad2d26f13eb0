import {
  bytes,
  bytesIn,
  chunksOf,
  equal,
  ok,
  rejects,
  rejectsWith,
  sleep,
  streamOf,
  test,
  throws,
} from '../harness.js';

// TypeScript's library does not have it yet.
const { from } = ReadableStream as unknown as { from<T>(source: Iterable<T> | AsyncIterable<T>): ReadableStream<T> };
const FAILURE = new RangeError('the source broke');

test('a stream gives its chunks and ends', async () => {
  const reader = streamOf('a', 'b').getReader();
  equal(await reader.read(), { done: false, value: 'a' });
  equal(await reader.read(), { done: false, value: 'b' });
  equal(await reader.read(), { done: true, value: undefined });
  equal(await reader.closed, undefined);
});

test('pull is called as chunks are asked for, one at a time', async () => {
  let pulls = 0;
  const stream = new ReadableStream<number>(
    { async pull(controller) { await null; controller.enqueue(pulls++); } },
    { highWaterMark: 0 },
  ); // biome-ignore format: small
  await sleep(1);
  equal(pulls, 0);
  const reader = stream.getReader();
  equal([(await reader.read()).value, (await reader.read()).value], [0, 1]);
  equal(pulls, 2);
});

test('desiredSize falls and rises with what is queued', async () => {
  let controller!: ReadableStreamDefaultController<string>;
  const stream = new ReadableStream<string>(
    {
      start: (it) => {
        controller = it;
      },
    },
    { highWaterMark: 2 },
  );
  equal(controller.desiredSize, 2);
  controller.enqueue('a');
  controller.enqueue('b');
  controller.enqueue('c');
  equal(controller.desiredSize, -1);
  await stream.getReader().read();
  equal(controller.desiredSize, 0);
  controller.close();
  throws(TypeError, () => controller.enqueue('d'));
  throws(TypeError, () => controller.close());
});

test('strategies count and measure', () => {
  equal(new CountQueuingStrategy({ highWaterMark: 3 }).size(undefined), 1);
  equal(new ByteLengthQueuingStrategy({ highWaterMark: 3 }).size(new Uint8Array(7)), 7);
  equal(new ByteLengthQueuingStrategy({ highWaterMark: 3 }).highWaterMark, 3);
  throws(TypeError, () => new ReadableStream({}, { size: 'x' as never }));
  throws(RangeError, () => new ReadableStream({}, { highWaterMark: -1 }));
  throws(RangeError, () => new ReadableStream({}, { highWaterMark: Number.NaN }));
});

test('errors reach readers, and later reads too', async () => {
  const stream = new ReadableStream({ pull: () => Promise.reject(FAILURE) });
  const reader = stream.getReader();
  await rejectsWith(FAILURE, reader.read());
  await rejectsWith(FAILURE, reader.read());
  await rejectsWith(FAILURE, reader.closed);
  await rejectsWith(FAILURE, new ReadableStream({ start: () => Promise.reject(FAILURE) }).getReader().read());
  throws(RangeError, () => new ReadableStream({ start() { throw FAILURE; } })); // biome-ignore format: one line
});

test('cancel tells the source why, and empties the queue', async () => {
  let why: unknown;
  const stream = new ReadableStream({
    start: (controller) => controller.enqueue('lost'),
    cancel(reason) {
      why = reason;
    },
  });
  await stream.cancel('enough');
  equal(why, 'enough');
  equal(await stream.getReader().read(), { done: true, value: undefined });
  await rejectsWith(FAILURE, new ReadableStream({ cancel: () => Promise.reject(FAILURE) }).cancel());
});

test('a locked stream refuses others', async () => {
  const stream = streamOf(1);
  const reader = stream.getReader();
  equal(stream.locked, true);
  throws(TypeError, () => stream.getReader());
  throws(TypeError, () => stream.tee());
  throws(TypeError, () => stream.pipeThrough(new TransformStream()));
  await rejects(TypeError, stream.cancel());
  await rejects(TypeError, stream.pipeTo(new WritableStream()));
  reader.releaseLock();
  equal(stream.locked, false);
  await rejects(TypeError, reader.read());
  await rejects(TypeError, reader.closed);
  equal(await chunksOf(stream), [1]);
});

test('releasing the lock fails pending reads and keeps the chunk', async () => {
  let controller!: ReadableStreamDefaultController<string>;
  const stream = new ReadableStream<string>({
    start: (it) => {
      controller = it;
    },
  });
  const reader = stream.getReader();
  const pending = reader.read();
  reader.releaseLock();
  await rejects(TypeError, pending);
  controller.enqueue('kept');
  equal((await stream.getReader().read()).value, 'kept');
});

test('tee gives both branches everything', async () => {
  const [left, right] = streamOf('a', 'b').tee();
  equal(await chunksOf(left), ['a', 'b']);
  equal(await chunksOf(right), ['a', 'b']);
});

test('tee cancels the source when both branches are cancelled', async () => {
  let why: unknown;
  const source = new ReadableStream({
    cancel: (reason) => {
      why = reason;
    },
  });
  const [left, right] = source.tee();
  const first = left.cancel('l');
  equal(why, undefined);
  await right.cancel('r');
  await first;
  equal(why, ['l', 'r']);
});

test('tee: one branch can be cancelled and the other read', async () => {
  const [left, right] = streamOf('a', 'b').tee();
  void left.cancel();
  equal(await chunksOf(right), ['a', 'b']);
});

test('tee passes errors on', async () => {
  const [left, right] = new ReadableStream({ pull: () => Promise.reject(FAILURE) }).tee();
  await rejectsWith(FAILURE, left.getReader().read());
  await rejectsWith(FAILURE, right.getReader().read());
});

test('tee of bytes gives each branch its own memory', async () => {
  const source = new ReadableStream<Uint8Array>({
    type: 'bytes',
    start(controller) {
      controller.enqueue(bytes(1, 2));
      controller.close();
    },
  });
  const [left, right] = source.tee();
  const first = await left.getReader().read();
  first.value![0] = 9;
  equal((await right.getReader().read()).value, bytes(1, 2));
});

test('async iteration ends, and gives up when left', async () => {
  const seen: string[] = [];
  for await (const chunk of streamOf('a', 'b')) seen.push(chunk);
  equal(seen, ['a', 'b']);
  let cancelled = false;
  const endless = new ReadableStream({
    pull: (c) => c.enqueue(1),
    cancel: () => {
      cancelled = true;
    },
  });
  for await (const _ of endless) break;
  equal([cancelled, endless.locked], [true, false]);
});

test('async iteration with preventCancel leaves the stream open', async () => {
  const stream = streamOf('a', 'b');
  for await (const _ of stream.values({ preventCancel: true })) break;
  equal(await chunksOf(stream), ['b']);
});

test('async iteration throws what the source threw', async () => {
  const stream = new ReadableStream({ pull: () => Promise.reject(FAILURE) });
  await rejectsWith(FAILURE, (async () => { for await (const _ of stream); })()); // biome-ignore format: one line
});

test('ReadableStream.from', async () => {
  equal(await chunksOf(from(['a', 'b'])), ['a', 'b']);
  equal(await chunksOf(from(new Set([1, 2]))), [1, 2]);
  let ended = false;
  const source = (async function* () {
    try {
      for (let at = 0; ; at++) yield at;
    } finally {
      ended = true;
    }
  })();
  const reader = from(source).getReader();
  equal((await reader.read()).value, 0);
  await reader.cancel();
  equal(ended, true);
  throws(TypeError, () => from(5 as never));
});

test('BYOB reads fill the given memory', async () => {
  const stream = new ReadableStream({
    type: 'bytes',
    start(controller) {
      controller.enqueue(bytes(1, 2, 3, 4, 5));
      controller.close();
    },
  });
  const reader = stream.getReader({ mode: 'byob' });
  const memory = new Uint8Array(3);
  const first = await reader.read(memory);
  equal([first.done, first.value], [false, bytes(1, 2, 3)]);
  equal(memory.byteLength, 0, 'the given view is transferred away');
  equal((await reader.read(new Uint8Array(8))).value, bytes(4, 5));
  const end = await reader.read(new Uint8Array(8));
  equal([end.done, end.value?.byteLength], [true, 0]);
});

test('BYOB requests let the source write in place', async () => {
  const stream = new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const request = controller.byobRequest!;
      const view = request.view as Uint8Array;
      view.set([7, 8]);
      request.respond(2);
    },
  });
  const reader = stream.getReader({ mode: 'byob' });
  equal((await reader.read(new Uint8Array(4))).value, bytes(7, 8));
});

test('BYOB keeps the kind of view and refuses odd ones', async () => {
  const make = () =>
    new ReadableStream({ type: 'bytes', start: (c) => c.enqueue(bytes(1, 0, 2, 0)) }).getReader({ mode: 'byob' });
  const { value } = await make().read(new Uint16Array(2));
  ok(value instanceof Uint16Array);
  equal([...value], [1, 2]);
  await rejects(TypeError, make().read(new Uint8Array(0)));
  await rejects(TypeError, make().read({} as never));
  throws(TypeError, () => streamOf(1).getReader({ mode: 'byob' }));
  throws(RangeError, () => new ReadableStream({ type: 'bytes' }, { size: () => 1 } as never));
});

test('byte streams refuse what is not bytes, and empty chunks', () => {
  let controller!: ReadableByteStreamController;
  new ReadableStream({
    type: 'bytes',
    start: (it) => {
      controller = it;
    },
  });
  throws(TypeError, () => controller.enqueue('x' as never));
  throws(TypeError, () => controller.enqueue(new Uint8Array(0)));
  const view = bytes(1);
  controller.enqueue(view);
  equal(view.byteLength, 0, 'transferred');
  throws(TypeError, () => controller.enqueue(view));
});

test('autoAllocateChunkSize gives plain readers a request to fill', async () => {
  const stream = new ReadableStream({
    type: 'bytes',
    autoAllocateChunkSize: 4,
    pull(controller) {
      (controller.byobRequest!.view as Uint8Array)[0] = 5;
      controller.byobRequest!.respond(1);
    },
  });
  equal((await stream.getReader().read()).value, bytes(5));
});

test('a writable stream writes in order, one at a time, and closes', async () => {
  const seen: string[] = [];
  const stream = new WritableStream<string>({
    async write(chunk) {
      seen.push(`>${chunk}`);
      await sleep(1);
      seen.push(`<${chunk}`);
    },
    close: () => void seen.push('closed'),
  });
  const writer = stream.getWriter();
  void writer.write('a');
  void writer.write('b');
  await writer.close();
  equal(seen, ['>a', '<a', '>b', '<b', 'closed']);
  equal(await writer.closed, undefined);
  await rejects(TypeError, writer.write('c'));
});

test('a writable stream pushes back', async () => {
  let release!: () => void;
  const stream = new WritableStream({ write: () => new Promise<void>((resolve) => { release = resolve; }) }); // biome-ignore format: one line
  const writer = stream.getWriter();
  await writer.ready;
  equal(writer.desiredSize, 1);
  const write = writer.write('a');
  equal(writer.desiredSize, 0);
  let ready = false;
  const waiting = writer.ready.then(() => { ready = true; }); // biome-ignore format: one line
  await sleep(1);
  equal(ready, false);
  release();
  await Promise.all([write, waiting]);
  equal(ready, true);
});

test('a failing sink fails the stream', async () => {
  const writer = new WritableStream({ write: () => Promise.reject(FAILURE) }).getWriter();
  await rejectsWith(FAILURE, writer.write('a'));
  await rejectsWith(FAILURE, writer.closed);
  await rejectsWith(FAILURE, writer.write('b'));
  equal(writer.desiredSize, null);
});

test('abort tells the sink and its signal', async () => {
  let signal!: AbortSignal;
  let why: unknown;
  const stream = new WritableStream({
    start: (controller) => {
      signal = controller.signal;
    },
    abort: (reason) => {
      why = reason;
    },
  });
  const writer = stream.getWriter();
  const closed = rejectsWith('stop', writer.closed);
  await writer.abort('stop');
  await closed;
  equal([why, signal.aborted, signal.reason], ['stop', true, 'stop']);
});

test('a writable stream is locked by its writer', async () => {
  const stream = new WritableStream();
  const writer = stream.getWriter();
  throws(TypeError, () => stream.getWriter());
  await rejects(TypeError, stream.abort());
  writer.releaseLock();
  await rejects(TypeError, writer.write('x'));
  await stream.close();
});

test('a transform changes, adds and drops chunks', async () => {
  const transform = new TransformStream<number, number>({
    transform(chunk, controller) {
      if (chunk % 2 === 0) return;
      controller.enqueue(chunk);
      controller.enqueue(chunk * 10);
    },
    flush: (controller) => controller.enqueue(-1),
  });
  equal(await chunksOf(streamOf(1, 2, 3).pipeThrough(transform)), [1, 10, 3, 30, -1]);
});

test('a transform without a transformer passes on', async () => {
  equal(await chunksOf(streamOf('a', 'b').pipeThrough(new TransformStream())), ['a', 'b']);
});

test('a transform’s error reaches both sides', async () => {
  const { readable, writable } = new TransformStream({ transform: () => Promise.reject(FAILURE) });
  const writer = writable.getWriter();
  const written = rejectsWith(FAILURE, writer.write('x'));
  await rejectsWith(FAILURE, readable.getReader().read());
  await written;
  await rejectsWith(FAILURE, writer.closed);
});

test('a transform can be terminated', async () => {
  const transform = new TransformStream<string, string>({
    transform(chunk, controller) {
      controller.enqueue(chunk);
      controller.terminate();
    },
  });
  equal(await chunksOf(streamOf('a', 'b').pipeThrough(transform)), ['a']);
});

test('cancelling a transform’s readable side aborts the writable one, and calls cancel', async () => {
  let why: unknown;
  const { readable, writable } = new TransformStream({
    cancel: (reason: unknown) => {
      why = reason;
    },
  } as Transformer);
  const writer = writable.getWriter();
  await readable.cancel('no more');
  equal(why, 'no more');
  await rejectsWith('no more', writer.write('x'));
});

test('a transform pushes back', async () => {
  const { readable, writable } = new TransformStream();
  const writer = writable.getWriter();
  let written = false;
  const write = writer.write('a').then(() => { written = true; }); // biome-ignore format: one line
  await sleep(1);
  equal(written, false);
  await readable.getReader().read();
  await write;
  equal(written, true);
});

test('pipeTo writes all and closes', async () => {
  const seen: string[] = [];
  const sink = new WritableStream<string>({
    write: (chunk) => void seen.push(chunk),
    close: () => void seen.push('.'),
  });
  await streamOf('a', 'b').pipeTo(sink);
  equal(seen, ['a', 'b', '.']);
  equal(sink.locked, false);
});

test('pipeTo carries errors both ways, unless told not to', async () => {
  const broken = () => new ReadableStream({ pull: () => Promise.reject(FAILURE) });
  let aborted: unknown;
  await rejectsWith(
    FAILURE,
    broken().pipeTo(
      new WritableStream({
        abort: (reason) => {
          aborted = reason;
        },
      }),
    ),
  );
  equal(aborted, FAILURE);
  aborted = undefined;
  const open = new WritableStream({
    abort: (reason) => {
      aborted = reason;
    },
  });
  await rejectsWith(FAILURE, broken().pipeTo(open, { preventAbort: true }));
  equal(aborted, undefined);
  let cancelled: unknown;
  const source = new ReadableStream({
    pull: (c) => c.enqueue(1),
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  await rejectsWith(FAILURE, source.pipeTo(new WritableStream({ write: () => Promise.reject(FAILURE) })));
  equal(cancelled, FAILURE);
});

test('pipeTo with preventClose and preventCancel', async () => {
  const seen: string[] = [];
  const sink = new WritableStream<string>({ write: (chunk) => void seen.push(chunk) });
  await streamOf('a').pipeTo(sink, { preventClose: true });
  await streamOf('b').pipeTo(sink);
  equal(seen, ['a', 'b']);
  let cancelled = false;
  const source = new ReadableStream({
    pull: (c) => c.enqueue(1),
    cancel: () => {
      cancelled = true;
    },
  });
  const failing = new WritableStream({ write: () => Promise.reject(FAILURE) });
  await rejectsWith(FAILURE, source.pipeTo(failing, { preventCancel: true }));
  equal([cancelled, source.locked], [false, false]);
});

test('pipeTo stops by signal', async () => {
  const controller = new AbortController();
  let cancelled: unknown;
  let aborted: unknown;
  const source = new ReadableStream({
    cancel: (reason) => {
      cancelled = reason;
    },
  });
  const sink = new WritableStream({
    abort: (reason) => {
      aborted = reason;
    },
  });
  const piped = source.pipeTo(sink, { signal: controller.signal });
  controller.abort('stop');
  await rejectsWith('stop', piped);
  equal([cancelled, aborted], ['stop', 'stop']);
  await rejects('AbortError', streamOf(1).pipeTo(new WritableStream(), { signal: AbortSignal.abort() }));
  await rejects(TypeError, streamOf(1).pipeTo(new WritableStream(), { signal: {} as never }));
});

test('pipeTo pulls no faster than the sink takes', async () => {
  let pulled = 0;
  const source = new ReadableStream({ pull: (c) => c.enqueue(pulled++) }, { highWaterMark: 0 });
  const sink = new WritableStream({ write: () => new Promise(() => {}) }, { highWaterMark: 3 });
  void source.pipeTo(sink);
  await sleep(5);
  ok(pulled <= 4, `${pulled} chunks were pulled`);
});

test('brands are checked', () => {
  const get = Object.getOwnPropertyDescriptor(ReadableStream.prototype, 'locked')!.get!;
  throws(TypeError, () => get.call({}));
  equal(Object.prototype.toString.call(new ReadableStream()), '[object ReadableStream]');
  throws(TypeError, () => new (ReadableStreamDefaultController as unknown as new () => unknown)());
  throws(TypeError, () => new ReadableStreamDefaultReader({} as never));
});

test('bytes through a chain of transforms arrive whole', async () => {
  const source = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < 50; at++) controller.enqueue(new Uint8Array(20_000).fill(at));
      controller.close();
    },
  });
  const through = source.pipeThrough(new TransformStream()).pipeThrough(new TransformStream());
  const all = await bytesIn(through);
  equal([all.length, all[0], all[999_999]], [1_000_000, 0, 49]);
});

test('a BYOB read can ask for a minimum', async () => {
  const stream = new ReadableStream({
    type: 'bytes',
    start(controller) {
      controller.enqueue(bytes(1));
      controller.enqueue(bytes(2, 3));
      controller.enqueue(bytes(4));
      controller.close();
    },
  });
  const reader = stream.getReader({ mode: 'byob' }) as unknown as {
    read(view: Uint8Array, options: { min: number }): Promise<ReadableStreamReadResult<Uint8Array>>;
  };
  equal((await reader.read(new Uint8Array(8), { min: 3 })).value, bytes(1, 2, 3, 4));
  await rejects(RangeError, reader.read(new Uint8Array(2), { min: 3 }));
});

test('iterators are proper async iterators', async () => {
  const iterator = streamOf('a')[Symbol.asyncIterator]();
  // Plugins' own async generators are lowered by the bundler.
  const { prototype } = new Function('return async function* () {}')() as { prototype: object };
  const base = Object.getPrototypeOf(Object.getPrototypeOf(prototype)) as object;
  ok(Reflect.apply(Object.prototype.isPrototypeOf, base, [iterator]));
  equal(await iterator.next(), { done: false, value: 'a' });
  equal(await iterator.return!('x' as never), { done: true, value: 'x' });
});

test('streams that nobody reads cost nothing but their queue', async () => {
  let pulls = 0;
  for (let at = 0; at < 1_000; at++) new ReadableStream({ pull: () => void pulls++ });
  await sleep(5);
  equal(pulls, 1_000);
});
