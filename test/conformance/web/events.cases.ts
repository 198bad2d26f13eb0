import { equal, ok, rejects, sleep, test, throws } from '../harness.js';

test('an event has its defaults', () => {
  const event = new Event('x');
  equal([event.type, event.bubbles, event.cancelable, event.composed], ['x', false, false, false]);
  equal([event.target, event.currentTarget, event.eventPhase], [null, null, 0]);
  equal([event.defaultPrevented, event.isTrusted], [false, false]);
  equal(typeof event.timeStamp, 'number');
  throws(TypeError, () => new (Event as unknown as new () => Event)());
});

test('isTrusted is an own property that guests cannot forge', () => {
  const event = new Event('x');
  equal([Reflect.set(event, 'isTrusted', true), event.isTrusted], [false, false]);
});

test('listeners are called once per target, in order', () => {
  const target = new EventTarget();
  const seen: string[] = [];
  const first = () => void seen.push('first');
  target.addEventListener('x', first);
  target.addEventListener('x', first);
  target.addEventListener('x', { handleEvent: (event) => void seen.push(`object ${event.type}`) });
  target.addEventListener('y', () => void seen.push('other'));
  equal(target.dispatchEvent(new Event('x')), true);
  equal(seen, ['first', 'object x']);
  target.removeEventListener('x', first);
  target.dispatchEvent(new Event('x'));
  equal(seen, ['first', 'object x', 'object x']);
});

test('this and the event’s targets during the call', () => {
  const target = new EventTarget();
  let called = false;
  target.addEventListener('x', function each(this: unknown, event) {
    called = true;
    ok(this === target && event.target === target && event.currentTarget === target);
    equal([event.eventPhase, event.composedPath()], [2, [target]]);
  });
  const event = new Event('x');
  target.dispatchEvent(event);
  equal([called, event.currentTarget, event.eventPhase, event.composedPath()], [true, null, 0, []]);
});

test('once, passive and signal', () => {
  const target = new EventTarget();
  const seen: string[] = [];
  const controller = new AbortController();
  target.addEventListener('x', () => void seen.push('once'), { once: true });
  target.addEventListener('x', () => void seen.push('signal'), { signal: controller.signal });
  target.addEventListener('x', (event) => event.preventDefault(), { passive: true });
  target.addEventListener('x', () => void seen.push('never'), { signal: AbortSignal.abort() });
  const event = new Event('x', { cancelable: true });
  target.dispatchEvent(event);
  equal(event.defaultPrevented, false, 'passive');
  controller.abort();
  target.dispatchEvent(new Event('x'));
  equal(seen, ['once', 'signal']);
});

test('preventDefault only of cancelable events', () => {
  const target = new EventTarget();
  target.addEventListener('x', (event) => event.preventDefault());
  equal(target.dispatchEvent(new Event('x')), true);
  equal(target.dispatchEvent(new Event('x', { cancelable: true })), false);
});

test('stopImmediatePropagation', () => {
  const target = new EventTarget();
  const seen: number[] = [];
  target.addEventListener('x', (event) => {
    seen.push(1);
    event.stopImmediatePropagation();
  });
  target.addEventListener('x', () => void seen.push(2));
  target.dispatchEvent(new Event('x'));
  equal(seen, [1]);
});

test('listeners added meanwhile wait, removed ones are not called', () => {
  const target = new EventTarget();
  const seen: string[] = [];
  const removed = () => void seen.push('removed');
  target.addEventListener('x', () => {
    seen.push('first');
    target.removeEventListener('x', removed);
    target.addEventListener('x', () => void seen.push('late'), { once: true });
  });
  target.addEventListener('x', removed);
  target.dispatchEvent(new Event('x'));
  equal(seen, ['first']);
});

test('a throwing listener does not stop the others, nor the dispatch', () => {
  const target = new EventTarget();
  let called = false;
  target.addEventListener('x', () => {
    throw new Error('expected by a test');
  });
  target.addEventListener('x', () => {
    called = true;
  });
  target.dispatchEvent(new Event('x'));
  equal(called, true);
});

test('an event is dispatched once at a time', () => {
  const target = new EventTarget();
  const event = new Event('x');
  let inner: unknown;
  target.addEventListener('x', () => {
    inner = throws('InvalidStateError', () => target.dispatchEvent(event));
  });
  target.dispatchEvent(event);
  ok(inner);
  target.dispatchEvent(event);
  throws(TypeError, () => target.dispatchEvent({} as never));
});

test('odd listeners', () => {
  const target = new EventTarget();
  target.addEventListener('x', null);
  target.removeEventListener('x', null);
  throws(TypeError, () => target.addEventListener('x', 5 as never));
  target.dispatchEvent(new Event('x'));
});

test('subclasses of EventTarget and Event', () => {
  class Emitter extends EventTarget {
    fire() {
      return this.dispatchEvent(new Fired('fired'));
    }
  }
  class Fired extends Event {
    extra = 7;
  }
  const emitter = new Emitter();
  let extra = 0;
  emitter.addEventListener('fired', (event) => {
    extra = (event as Fired).extra;
  });
  emitter.fire();
  equal(extra, 7);
});

test('CustomEvent carries a detail', () => {
  const detail = { a: 1 };
  const event = new CustomEvent('x', { detail, cancelable: true });
  ok(event.detail === detail && event instanceof Event);
  equal([event.cancelable, new CustomEvent('y').detail], [true, null]);
  equal([Event.name, CustomEvent.name, EventTarget.name], ['Event', 'CustomEvent', 'EventTarget']);
  equal(Object.prototype.toString.call(event), '[object CustomEvent]');
});

test('ErrorEvent, MessageEvent, PromiseRejectionEvent, CloseEvent-like inits', () => {
  const error = new Error('e');
  const event = new ErrorEvent('error', { message: 'm', filename: 'f', lineno: 1, colno: 2, error });
  ok(event instanceof Event);
  equal([event.message, event.filename, event.lineno, event.colno], ['m', 'f', 1, 2]);
  ok(event.error === error);
  const promise = Promise.resolve();
  const rejection = new PromiseRejectionEvent('unhandledrejection', { promise, reason: 'r' });
  ok(rejection.promise === promise && rejection.reason === 'r');
  throws(TypeError, () => new PromiseRejectionEvent('x', {} as never));
  const message = new MessageEvent('message', { data: { x: 1 }, origin: 'o', lastEventId: '7' });
  equal([message.data, message.origin, message.lastEventId], [{ x: 1 }, 'o', '7']);
});

test('the global object is an event target that hears of errors', async () => {
  const seen: string[] = [];
  const listener = (event: Event) => {
    seen.push(`${event.type} ${(event as ErrorEvent).error?.message}`);
    event.preventDefault();
  };
  addEventListener('error', listener);
  reportError(new Error('reported'));
  setTimeout(() => {
    throw new Error('in a timer');
  });
  queueMicrotask(() => {
    throw new Error('in a microtask');
  });
  await sleep(5);
  removeEventListener('error', listener);
  reportError(new Error('expected by a test'));
  equal(seen, ['error reported', 'error in a microtask', 'error in a timer']);
  throws(TypeError, () => (reportError as () => void)());
});

test('onerror is a global handler', () => {
  let got: unknown[] = [];
  globalThis.onerror = (...args: unknown[]) => {
    got = args;
    return true;
  };
  const error = new Error('to the handler');
  reportError(error);
  globalThis.onerror = null;
  equal([got.length, String(got[0]).includes('to the handler'), got[4] === error], [5, true, true]);
});

test('a controller aborts its signal once', () => {
  const controller = new AbortController();
  const { signal } = controller;
  let count = 0;
  signal.addEventListener('abort', (event) => {
    count++;
    ok(event.target === signal && event.type === 'abort');
  });
  signal.onabort = () => void count++;
  equal([signal.aborted, signal.reason], [false, undefined]);
  signal.throwIfAborted();
  controller.abort('why');
  controller.abort('again');
  equal([count, signal.aborted, signal.reason], [2, true, 'why']);
  let thrown: unknown;
  try { signal.throwIfAborted(); } catch (error) { thrown = error; } // biome-ignore format: one line
  equal(thrown, 'why');
});

test('without a reason it is an AbortError', () => {
  const controller = new AbortController();
  controller.abort();
  ok(controller.signal.reason instanceof DOMException);
  equal([controller.signal.reason.name, controller.signal.reason.code], ['AbortError', 20]);
  equal(AbortSignal.abort().reason.name, 'AbortError');
  equal(AbortSignal.abort(5).reason, 5);
});

test('signals cannot be made or aborted from outside', () => {
  throws(TypeError, () => new (AbortSignal as unknown as new () => unknown)());
  const { signal } = new AbortController();
  signal.dispatchEvent(new Event('abort'));
  equal(signal.aborted, false);
});

test('AbortSignal.timeout', async () => {
  const signal = AbortSignal.timeout(5);
  equal(signal.aborted, false);
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
  equal(signal.reason.name, 'TimeoutError');
  throws(TypeError, () => AbortSignal.timeout(-1));
  throws(TypeError, () => AbortSignal.timeout(Number.NaN));
  throws(TypeError, () => (AbortSignal.timeout as unknown as () => void)());
});

test('AbortSignal.any follows the first', () => {
  const a = new AbortController();
  const b = new AbortController();
  const any = AbortSignal.any([a.signal, b.signal]);
  const nested = AbortSignal.any([any]);
  const order: string[] = [];
  a.signal.addEventListener('abort', () => void order.push('a'));
  any.addEventListener('abort', () => void order.push('any'));
  nested.addEventListener('abort', () => void order.push('nested'));
  b.abort('b');
  a.abort('a');
  equal([any.aborted, any.reason, nested.reason, order], [true, 'b', 'b', ['any', 'nested', 'a']]);
  equal(AbortSignal.any([]).aborted, false);
  equal(AbortSignal.any([new AbortController().signal, AbortSignal.abort('x'), AbortSignal.abort('y')]).reason, 'x');
  throws(TypeError, () => AbortSignal.any([{}] as never));
  throws(TypeError, () => AbortSignal.any(5 as never));
});

test('dependants are aborted before any listener runs', () => {
  const controller = new AbortController();
  const any = AbortSignal.any([controller.signal]);
  let seen: boolean | undefined;
  controller.signal.addEventListener('abort', () => {
    seen = any.aborted;
  });
  controller.abort();
  equal(seen, true);
});

test('any works for signals nobody else holds', async () => {
  const controller = new AbortController();
  let aborted = false;
  AbortSignal.any([controller.signal]).addEventListener('abort', () => {
    aborted = true;
  });
  // Something for the garbage collector to do.
  for (let at = 0; at < 20; at++) {
    Array.from({ length: 20_000 }, () => ({ at }));
    await sleep(1);
  }
  controller.abort();
  equal(aborted, true);
});

test('onabort can be replaced and removed', () => {
  const controller = new AbortController();
  const seen: string[] = [];
  controller.signal.onabort = () => void seen.push('old');
  controller.signal.onabort = () => void seen.push('new');
  controller.abort();
  equal(seen, ['new']);
  const other = new AbortController();
  other.signal.onabort = () => void seen.push('gone');
  other.signal.onabort = null;
  other.abort();
  equal(seen, ['new']);
});

test('an aborted signal refuses a fetch with its reason', async () => {
  const error = await rejects('AbortError', fetch('http://nowhere.invalid/', { signal: AbortSignal.abort() }));
  ok(error instanceof DOMException);
});

test('DOMException has names, codes and constants', () => {
  const error = new DOMException('m', 'NotFoundError');
  ok(error instanceof Error && error instanceof DOMException);
  equal([error.name, error.message, error.code, String(error)], ['NotFoundError', 'm', 8, 'NotFoundError: m']);
  equal([new DOMException().name, new DOMException().code, new DOMException().message], ['Error', 0, '']);
  equal([DOMException.ABORT_ERR, error.DATA_CLONE_ERR, new DOMException('', 'Own').code], [20, 25, 0]);
  equal(DOMException.INVALID_CHARACTER_ERR, 5);
  equal(DOMException.URL_MISMATCH_ERR, 21);
  equal(DOMException.NO_MODIFICATION_ALLOWED_ERR, 7);
  equal(DOMException.INUSE_ATTRIBUTE_ERR, 10);
  ok(typeof error.stack === 'string');
  equal(Object.prototype.toString.call(error), '[object DOMException]');
});
