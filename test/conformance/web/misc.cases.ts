import { equal, ok, sleep, test, throws } from '../harness.js';

test('timers run in order of time, with their arguments', async () => {
  const seen: unknown[] = [];
  setTimeout((...args: unknown[]) => seen.push(args), 20, 'late', 2);
  setTimeout(() => seen.push('early'), 1);
  queueMicrotask(() => seen.push('microtask'));
  seen.push('now');
  await sleep(60);
  equal(seen, ['now', 'microtask', 'early', ['late', 2]]);
});

test('timers of the same time keep their order', async () => {
  const seen: number[] = [];
  for (let at = 0; at < 20; at++) setTimeout(() => seen.push(at), 2);
  await sleep(30);
  equal(
    seen,
    Array.from({ length: 20 }, (_, at) => at),
  );
});

test('timers can be cleared, any id can', async () => {
  let ran = false;
  const id = setTimeout(() => {
    ran = true;
  }, 1);
  equal(typeof id, 'number');
  ok(id > 0);
  clearTimeout(id);
  clearTimeout(id);
  clearTimeout(undefined);
  clearTimeout('x' as never);
  clearInterval(123_456);
  await sleep(10);
  equal(ran, false);
});

test('intervals repeat until cleared, also from within', async () => {
  let count = 0;
  const id = setInterval(() => {
    if (++count === 3) clearInterval(id);
  }, 1);
  await sleep(50);
  equal(count, 3);
});

test('odd delays mean soon', async () => {
  let count = 0;
  for (const delay of [undefined, null, -5, Number.NaN, 'x', '1', 0.5] as never[]) setTimeout(() => count++, delay);
  await sleep(20);
  equal(count, 7);
});

test('timers and microtasks need functions', () => {
  for (const wrong of [undefined, null, 5, {}]) {
    throws(TypeError, () => setTimeout(wrong as never));
    throws(TypeError, () => setInterval(wrong as never));
    throws(TypeError, () => queueMicrotask(wrong as never));
  }
  // Text is not evaluated.
  throws(TypeError, () => setTimeout('globalThis.evaluated = 1' as never));
});

test('a throwing timer does not stop others', async () => {
  let ran = false;
  setTimeout(() => {
    throw new Error('expected by a test');
  }, 1);
  setTimeout(() => {
    ran = true;
  }, 2);
  await sleep(20);
  equal(ran, true);
});

test('microtasks run before timers, and may queue more', async () => {
  const seen: string[] = [];
  setTimeout(() => seen.push('timer'));
  queueMicrotask(() => {
    seen.push('a');
    queueMicrotask(() => seen.push('b'));
  });
  await sleep(10);
  equal(seen, ['a', 'b', 'timer']);
});

test('performance.now rises, from about zero', async () => {
  const first = performance.now();
  await sleep(5);
  const second = performance.now();
  ok(first >= 0 && second > first, `${first} ${second}`);
  ok(Math.abs(performance.timeOrigin + second - Date.now()) < 1_000);
  equal(performance.toJSON().timeOrigin, performance.timeOrigin);
  ok(performance instanceof Performance && performance instanceof EventTarget);
});

test('console takes everything', () => {
  const circle: Record<string, unknown> = {};
  circle.circle = circle;
  const hostile = new Proxy({}, { get() { throw new Error('no'); }, ownKeys() { throw new Error('no'); }, getPrototypeOf() { throw new Error('no'); } }); // biome-ignore format: one line
  for (const value of [
    undefined,
    null,
    1n,
    Symbol('s'),
    circle,
    hostile,
    () => {},
    new Map([[circle, 1]]),
    Object.create(null),
    new Date(Number.NaN),
  ])
    console.log('value', value, '%s', value);
  console.log('%s is %d, %i, %f, %o, %%, %c', 'x', '5', 5.7, '1.5', { a: 1 }, 'css', 'rest');
  console.log('%s', Symbol('x'), hostile);
  console.log();
  for (const name of [
    'debug',
    'info',
    'warn',
    'error',
    'trace',
    'dir',
    'table',
    'group',
    'groupEnd',
    'assert',
    'count',
    'countReset',
    'time',
    'timeLog',
    'timeEnd',
    'groupCollapsed',
    'clear',
    'dirxml',
  ] as const)
    equal(typeof console[name], 'function', name);
  const { log } = console;
  log('without its object');
});

test('navigator and self', () => {
  ok(self === globalThis);
  ok(/^Atoll/.test(navigator.userAgent));
  equal(Reflect.set(navigator, 'userAgent', 'x'), false);
});

test('async code of a handler keeps its order', async () => {
  const seen: number[] = [];
  const step = async (at: number) => {
    await null;
    seen.push(at);
  };
  await Promise.all([step(1), step(2), step(3)]);
  equal(seen, [1, 2, 3]);
});
