import type { InboundCall } from './inbound.js';

/**
 * Which call from the host the running code works for. Plugins are bundled with async functions lowered to generators over
 * promises, so carrying the value through `then`, timers and microtasks follows every `await`.
 */
let current: InboundCall | undefined;

export function currentCall(): InboundCall | undefined {
  return current;
}

export function runInCall<T>(call: InboundCall | undefined, run: () => T): T {
  const before = current;
  current = call;
  try {
    return run();
  } finally {
    current = before;
  }
}

/** The function, bound to the call that is current now. */
export function bindCall<F extends (...args: never[]) => unknown>(run: F): F {
  if (current === undefined) return run;
  const call = current;
  return ((...args: never[]) => runInCall(call, () => run(...args))) as F;
}

const nativeThen = Promise.prototype.then;

function carry<F>(callback: F): F {
  return typeof callback === 'function' ? (bindCall(callback as unknown as () => unknown) as F) : callback;
}

/** Makes `then` carry the current call. `catch` and `finally` are built on `then`. */
export function installAsyncContext(): void {
  const then = function then(this: Promise<unknown>, onFulfilled?: unknown, onRejected?: unknown) {
    if (current === undefined) return Reflect.apply(nativeThen, this, [onFulfilled, onRejected]);
    return Reflect.apply(nativeThen, this, [carry(onFulfilled), carry(onRejected)]);
  };
  Object.defineProperty(Promise.prototype, 'then', { value: then, writable: true, configurable: true });
}
