import { bytes, equal, ok, rejects, sleep, streamOf, test, throws, utf8 } from '../harness.js';

/* Ways in which a guest could harm or confuse its host through the bridge. The host side of the test looks after every case whether
   the cell still lives. Built-ins are put back: the cases share an isolate. */

const { subtle } = crypto;

/** Calls of everything that crosses the bridge. */
async function useBridge(): Promise<void> {
  crypto.getRandomValues(new Uint8Array(16));
  crypto.randomUUID();
  new URL('http://bücher.example/').searchParams.append('a', 'b');
  await subtle.digest('SHA-256', utf8('x'));
  await fetch('http://denied.invalid/').catch(() => {});
  await sleep(1);
  await new Response(streamOf(utf8('x')).pipeThrough(new CompressionStream('gzip'))).bytes();
  console.log('x');
}

/** Puts properties on an object for as long as `run` takes. */
async function patched(target: object, properties: PropertyDescriptorMap, run: () => Promise<void>): Promise<void> {
  const before = Object.entries(properties).map(
    ([name]) => [name, Object.getOwnPropertyDescriptor(target, name)] as const,
  );
  Object.defineProperties(target, properties);
  try {
    await run();
  } finally {
    for (const [name, descriptor] of before) {
      if (descriptor) Object.defineProperty(target, name, descriptor);
      else Reflect.deleteProperty(target, name);
    }
  }
}
const value = (it: unknown): PropertyDescriptor => ({
  value: it,
  writable: true,
  configurable: true,
  enumerable: false,
});

/** A reference of the engine can call or read objects of the host. */
const isReference = (it: unknown): boolean =>
  (typeof it === 'object' || typeof it === 'function') &&
  it !== null &&
  ['applySync', 'applySyncPromise', 'derefInto', 'copySync', 'getSync'].some((name) => name in it);

test('1. refused host calls are rejections here, and none over there', async () => {
  const all = await Promise.allSettled(Array.from({ length: 300 }, () => fetch('http://denied.invalid/')));
  equal(new Set(all.map(({ status }) => status)), new Set(['rejected']));
  const error = (await rejects(TypeError, fetch('http://denied.invalid/'))) as Error & { code?: string };
  equal(error.code, 'NET_DENIED');
  ok(
    !/\/|node:|\.ts|\.js/.test((error.cause as Error).message.replace('http://denied.invalid', '')),
    'no paths of the host',
  );
});

test('1. errors of the host carry no paths of the host', async () => {
  const failures = [
    subtle.importKey('spki', bytes(1), { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']),
    subtle.decrypt({ name: 'AES-GCM', iv: bytes(1) }, null as never, bytes(1)),
    fetch('http://denied.invalid/'),
    new Response(streamOf(bytes(1, 2)).pipeThrough(new DecompressionStream('gzip'))).bytes(),
  ];
  for (const failure of failures) {
    const error = (await rejects(Error, failure)) as Error & { cause?: Error };
    for (const stack of [error.stack, error.cause?.stack ?? ''])
      ok(!/node:|file:|\/kernel\/|\/dist\//.test(stack!), stack);
  }
});

test('2. options on Object.prototype do not reach the engine', async () => {
  const options = [
    'reference',
    'externalCopy',
    'copy',
    'promise',
    'result',
    'arguments',
    'timeout',
    'transferIn',
    'release',
    'sync',
    'async',
    'ignored',
    'filename',
  ];
  const pollution = Object.fromEntries(options.map((name) => [name, value(true)]));
  await patched(Object.prototype, pollution, useBridge);
  await patched(
    Object.prototype,
    { result: value({ reference: true }), arguments: value({ reference: true }) },
    useBridge,
  );
});

test('2. no reference to the host passes through anything that a guest can replace', async () => {
  const found: string[] = [];
  const look = (where: string, ...values: unknown[]) => {
    for (const it of values) if (isReference(it)) found.push(where);
  };
  const spy = (owner: object, name: PropertyKey) => {
    const original = Reflect.get(owner, name) as (...args: unknown[]) => unknown;
    const { apply } = Reflect;
    return value(function (this: unknown, ...args: unknown[]) {
      look(String(name), this, ...args);
      const result = apply(original, this, args);
      look(String(name), result);
      return result;
    });
  };
  const spied: [object, string[]][] = [
    [Map.prototype, ['get', 'set', 'delete', 'has']],
    [WeakMap.prototype, ['get', 'set']],
    [Set.prototype, ['add', 'delete']],
    [Array.prototype, ['push', 'shift', 'join', 'map', 'slice', 'splice']],
    [Function.prototype, ['call', 'apply', 'bind']],
    [Promise.prototype, ['then', 'catch', 'finally']],
    [JSON, ['parse', 'stringify']],
    [Object, ['assign', 'entries', 'defineProperty', 'freeze']],
  ];
  const run = spied.reduceRight<() => Promise<void>>(
    (inner, [owner, names]) =>
      () =>
        patched(owner, Object.fromEntries(names.map((name) => [name, spy(owner, name)])), inner),
    useBridge,
  );
  await run();
  equal(found, []);
});

test('2. setters on Object.prototype see nothing of the bridge', async () => {
  const seen: unknown[] = [];
  const trap = (name: string): PropertyDescriptor => ({
    configurable: true,
    get: () => undefined,
    set(this: unknown, it: unknown) {
      seen.push(this, it);
      Object.defineProperty(this, name, { value: it, writable: true, configurable: true, enumerable: true });
    },
  });
  await patched(
    Object.prototype,
    { post: trap('post'), deliver: trap('deliver'), sync: trap('sync'), host: trap('host') },
    useBridge,
  );
  equal(seen.filter(isReference), []);
});

test('3. stack frames give away neither functions nor receivers of the prelude', async () => {
  const leaked: string[] = [];
  let frames = 0;
  const prepare = (_: Error, sites: { getFunction(): unknown; getThis(): unknown; getFileName(): string | null }[]) => {
    for (const site of sites) {
      if (!String(site.getFileName()).startsWith('atoll:')) continue;
      frames++;
      if (site.getFunction() !== undefined || site.getThis() !== undefined) leaked.push(String(site.getFileName()));
    }
    return '';
  };
  const capture = () => void new Error('here').stack;
  await patched(Error, { prepareStackTrace: value(prepare), stackTraceLimit: value(100) }, async () => {
    const target = new EventTarget();
    target.addEventListener('x', capture);
    target.dispatchEvent(new Event('x'));
    await new Promise<void>((resolve) => setTimeout(() => { capture(); resolve(); }, 0)); // biome-ignore format: one line
    for (const inner of [new ReadableStream({ start: capture }), new Blob([{ toString: () => { capture(); return 'x'; } } as never])]) ok(inner); // biome-ignore format: one line
    await patched(JSON, { stringify: value(() => { capture(); return '{}'; }) }, async () => void fetch('http://denied.invalid/').catch(() => {})); // biome-ignore format: one line
    await rejects(Error, fetch({ toString() { capture(); throw new Error('stop'); } } as never)); // biome-ignore format: one line
  });
  ok(frames > 0, 'frames of the prelude were seen');
  equal(leaked, []);
});

test('3. callers cannot be read', () => {
  let caller: unknown = 'unread';
  const sloppy = new Function('use', 'return function spy() { use(spy.caller, spy.arguments); }') as (
    use: (caller: unknown) => void,
  ) => () => void;
  const target = new EventTarget();
  target.addEventListener('x', sloppy((it) => { caller = it; })); // biome-ignore format: one line
  target.dispatchEvent(new Event('x'));
  equal(caller, null);
});

test('5. WebAssembly, shared memory and atomics are gone for good', () => {
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics']) {
    equal(new Function(`return typeof ${name}`)(), 'undefined', name);
    equal((Reflect.get(globalThis, 'eval') as (code: string) => unknown)(`typeof ${name}`), 'undefined', name);
    equal(Reflect.has(globalThis, name), false, name);
  }
});

test('5. there is no way to import, and trying harms nobody', async () => {
  const load = new Function('return import("node:fs")') as () => Promise<unknown>;
  let failed = false;
  try {
    await load();
  } catch {
    failed = true;
  }
  ok(failed);
});

test('7. what is thrown may be anything', async () => {
  const hostile = [
    Object.defineProperty(new Error('x'), 'message', { get() { throw new Error('no'); } }),
    new Proxy({}, { get() { throw new Error('no'); } }),
    { toString() { throw new Error('no'); } },
    Object.assign(new Error('m'.repeat(5_000_000)), { name: 'n'.repeat(5_000_000), stack: 's'.repeat(5_000_000) }),
    Symbol('s'),
    null,
  ]; // biome-ignore format: a table
  for (const error of hostile) {
    setTimeout(() => {
      throw error;
    }, 0);
    reportError(error);
  }
  await sleep(10);
});

test('8. an unhandled rejection is this plugin’s own trouble', async () => {
  for (let at = 0; at < 20; at++) void Promise.reject(new Error('nobody cares'));
  await sleep(5);
});

test('getRandomValues believes no claims about sizes and kinds', () => {
  for (const claim of [
    { byteLength: 8, buffer: new ArrayBuffer(8), byteOffset: 0 },
    { [Symbol.toStringTag]: 'Uint8Array', byteLength: 8 },
  ])
    throws(TypeError, () => crypto.getRandomValues(claim as never));
  const small = new Uint8Array(4);
  Object.defineProperties(small, {
    byteLength: { value: 1e9 },
    length: { value: 1e9 },
    buffer: { value: new ArrayBuffer(1e5) },
  });
  crypto.getRandomValues(small);
  const large = new Uint8Array(70_000);
  Object.defineProperty(large, 'byteLength', { value: 4 });
  throws('QuotaExceededError', () => crypto.getRandomValues(large));
});

test('operations that would hold a thread of the host are refused', async () => {
  const password = await subtle.importKey('raw', utf8('p'), 'PBKDF2', false, ['deriveBits', 'deriveKey']);
  const pbkdf2 = (iterations: unknown) =>
    ({ name: 'PBKDF2', hash: 'SHA-256', salt: bytes(1), iterations }) as Pbkdf2Params;
  const rsa = (more: object) => ({
    name: 'RSA-PSS',
    modulusLength: 2048,
    publicExponent: bytes(1, 0, 1),
    hash: 'SHA-256',
    ...more,
  });
  const refused: (() => Promise<unknown>)[] = [
    () => subtle.deriveBits(pbkdf2(1e9), password, 256),
    () => subtle.deriveBits(pbkdf2('1000000000'), password, 256),
    () => subtle.deriveBits(pbkdf2([1e9]), password, 256),
    () => subtle.deriveBits(pbkdf2(1_000_000), password, 1_000_000),
    () =>
      subtle.deriveKey(pbkdf2(1_000_000), password, { name: 'HMAC', hash: 'SHA-256', length: 1_000_000 }, true, [
        'sign',
      ]),
    () => subtle.generateKey(rsa({ modulusLength: 16_384 }), true, ['sign']),
    () => subtle.generateKey(rsa({ publicExponent: new Uint8Array(64).fill(255) }), true, ['sign']),
    () => subtle.generateKey(rsa({ publicExponent: bytes(2) }), true, ['sign']),
    () => subtle.generateKey({ name: 'HMAC', hash: 'SHA-256', length: 2 ** 31 } as never, true, ['sign']),
    () => subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: bytes(), info: bytes() }, password, 2 ** 31),
  ];
  for (const run of refused) await rejects('OperationError', run(), String(run));
});

test('arguments that would take the host long to read are refused', async () => {
  const large = new Uint8Array(4_000_000);
  await rejects('OperationError', subtle.importKey('raw', large, { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']));
  await subtle.digest('SHA-256', large);
});

test('algorithms that nobody has bounded are not there', async () => {
  for (const name of ['Argon2id', 'cSHAKE128', 'KMAC256', 'TurboSHAKE128', 'ML-KEM-768', '__proto__', 'constructor'])
    await rejects(
      'NotSupportedError',
      subtle.digest({ name, outputLength: 2 ** 31, memory: 2 ** 31 } as never, bytes(1)),
      name,
    );
  await rejects(
    'NotSupportedError',
    subtle.importKey('raw', bytes(1), { name: 'HMAC', hash: { name: 'cSHAKE128', length: 2 ** 31 } } as never, true, [
      'sign',
    ]),
  );
});

test('arguments full of getters, proxies and lies are read here, once', async () => {
  let reads = 0;
  const algorithm = { get name() { reads++; return 'SHA-256'; } }; // biome-ignore format: one line
  await subtle.digest(algorithm, bytes(1));
  equal(reads, 1);
  await subtle.digest(new Proxy({ name: 'SHA-256' }, {}), bytes(1));
  class Stop extends Error {}
  await rejects(Stop, subtle.digest({ get name(): string { throw new Stop(); } }, bytes(1))); // biome-ignore format: one line
  const endless: Record<string, unknown> = {};
  endless.name = endless;
  await rejects(TypeError, subtle.digest(endless as never, bytes(1)));
  await rejects(TypeError, subtle.digest({ name: 1n } as never, bytes(1)));
  await rejects(DOMException, subtle.digest({ name: { $key: 1 } } as never, bytes(1)));
  await rejects(Error, subtle.digest({ $data: 1, $hex: 'zz', $key: 'x' } as never, bytes(1)));
});

test('handles of keys cannot be forged', async () => {
  const forged = Object.create(CryptoKey.prototype) as CryptoKey;
  await rejects(TypeError, subtle.sign('HMAC', forged, bytes(1)));
  await rejects(Error, subtle.sign('HMAC', { $key: 999_999 } as never, bytes(1)));
  const hidden = await subtle.importKey('raw', bytes(1, 2), { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
  Object.defineProperty(hidden, 'extractable', { value: true });
  await rejects('InvalidAccessError', subtle.exportKey('raw', hidden));
});

test('detached and resizable memory', async () => {
  const gone = bytes(1, 2, 3);
  gone.buffer.transfer();
  await rejects(TypeError, subtle.digest('SHA-256', gone));
  throws(TypeError, () => new Blob([gone]));
  const Resizable = ArrayBuffer as unknown as new (
    size: number,
    options: object,
  ) => ArrayBuffer & { resize(n: number): void };
  const buffer = new Resizable(8, { maxByteLength: 64 });
  equal((await subtle.digest('SHA-256', new Uint8Array(buffer))).byteLength, 32);
  await new Response(streamOf(new Uint8Array(buffer)).pipeThrough(new CompressionStream('gzip'))).bytes();
  equal((await new Response(new Uint8Array(buffer)).bytes()).length, 8);
  buffer.resize(0);
  await rejects(TypeError, fetch('http://denied.invalid/', { method: 'POST', body: new Uint8Array(buffer) }));
  const out = new Resizable(4, { maxByteLength: 8 });
  crypto.getRandomValues(new Uint8Array(out));
});

test('headers that were smuggled past their class are refused by the host', async () => {
  for (const pair of [['x', 'a\r\ny: b'], ['x\r\ny', 'b'], ['x', 'a\u0000'], [5, {}], 'no pair', null]) {
    const iterate = function* () {
      yield pair;
    };
    await patched(Headers.prototype, { [Symbol.iterator]: value(iterate) }, async () => {
      await rejects(TypeError, fetch('http://127.0.0.1:1/', { headers: { a: 'b' } }), JSON.stringify(pair));
    });
  }
});

test('what is too large for a frame is refused before it leaves', async () => {
  const url = 'http://127.0.0.1:1/';
  await rejects(TypeError, fetch(url, { method: 'POST', body: new Uint8Array(17_000_000) }));
  await rejects(TypeError, fetch(url, { headers: { x: 'y'.repeat(5_000_000) } }));
});

test('endless names of hosts are refused', () => {
  for (const label of ['ü', '☃', 'xn--', 'a.', '\u00ad']) {
    equal(URL.canParse(`http://${label.repeat(50_000)}ü/`), false, label);
  }
});

test('timers are bounded', () => {
  const ids: number[] = [];
  throws(RangeError, () => {
    for (let at = 0; at < 20_000; at++) ids.push(setTimeout(() => {}, 1e9));
  });
  for (const id of ids) clearTimeout(id);
  ids.length = 0;
  clearTimeout(setTimeout(() => {}, 0));
});

test('more host operations at once than there is room for are refused, and the rest go on', async () => {
  const all = await Promise.allSettled(Array.from({ length: 1_000 }, () => subtle.digest('SHA-256', bytes(1))));
  ok(all.some(({ status }) => status === 'fulfilled'));
  for (const result of all) if (result.status === 'rejected') equal((result.reason as Error).name, 'OperationError');
  await subtle.digest('SHA-256', bytes(1));
});

test('keys can be made for ever', async () => {
  const first = await subtle.importKey('raw', bytes(1, 2), { name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
  for (let round = 0; round < 120; round++) {
    const key = bytes(round, 1);
    await Promise.all(
      Array.from({ length: 100 }, () => subtle.importKey('raw', key, { name: 'HMAC', hash: 'SHA-1' }, false, ['sign'])),
    );
    await subtle.sign('HMAC', first, bytes(1));
  }
});

test('a bomb is unpacked no further than it is read', async () => {
  let left = 300;
  const zeros = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      if (left-- > 0) controller.enqueue(new Uint8Array(1_000_000));
      else controller.close();
    },
  });
  const bomb = await new Response(zeros.pipeThrough(new CompressionStream('gzip'))).bytes();
  const readers = Array.from({ length: 30 }, () =>
    streamOf(bomb).pipeThrough(new DecompressionStream('gzip')).getReader(),
  );
  for (const reader of readers) ok((await reader.read()).value);
  await Promise.all(readers.map((reader) => reader.cancel()));
});

test('compression streams are bounded', async () => {
  const open = Array.from({ length: 100 }, () => new CompressionStream('gzip').writable.getWriter());
  const results = await Promise.allSettled(open.map((writer) => writer.write(bytes(1))));
  for (const writer of open) writer.closed.catch(() => {});
  ok(results.filter(({ status }) => status === 'fulfilled').length <= 64);
  await Promise.allSettled(open.map((writer) => writer.abort()));
});
