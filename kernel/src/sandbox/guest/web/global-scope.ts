import { defineGlobal } from './define.js';
import { inspect } from './console.js';
import { webHost } from './host.js';
import { EventTarget } from './event-target.js';

/*
 * The global object as an event target. Events of type `error` come from reportError, timers, microtasks and listeners. There is no
 * `unhandledrejection`: the engine tells the cell about those, which logs them, and has no hook inside of an isolate.
 */
const target = new EventTarget();

for (const name of ['addEventListener', 'removeEventListener', 'dispatchEvent'] as const) {
  const method = EventTarget.prototype[name] as (...args: unknown[]) => unknown;
  defineGlobal(name, (...args: unknown[]) => Reflect.apply(method, target, args));
}

let onerror: unknown = null;
Object.defineProperty(globalThis, 'onerror', {
  get: () => onerror,
  set: (value: unknown) => {
    onerror = typeof value === 'function' ? value : null;
  },
  enumerable: true,
  configurable: true,
});

/** `plugin:greeter:12:34` of the first frame. */
function placeOf(error: unknown): { filename: string; lineno: number; colno: number } {
  const stack = error instanceof Error && typeof error.stack === 'string' ? error.stack.slice(0, 8_000) : '';
  const [, filename = '', line, column] = /\(?([^\s()]+):(\d+):(\d+)\)?/.exec(stack) ?? [];
  return { filename, lineno: Number(line ?? 0), colno: Number(column ?? 0) };
}

function describe(error: unknown): string {
  return error instanceof Error ? `Uncaught ${error.name}: ${error.message}` : `Uncaught ${inspect(error)}`;
}

/** True when a handler said that it took care of the error. */
function handled(error: unknown): boolean {
  const place = placeOf(error);
  const event = new ErrorEvent('error', { message: describe(error), ...place, error, cancelable: true });
  target.dispatchEvent(event as never);
  if (typeof onerror !== 'function') return event.defaultPrevented;
  const answer: unknown = onerror(event.message, event.filename, event.lineno, event.colno, error);
  return answer === true || event.defaultPrevented;
}

let reporting = false;

function reportError(error: unknown): void {
  if (arguments.length === 0) throw new TypeError('reportError needs an error.');
  let done = false;
  // A handler that fails is reported, but not to handlers.
  if (!reporting) {
    reporting = true;
    try {
      done = handled(error);
    } catch (another) {
      webHost().log('error', `Uncaught ${inspect(another)}`);
    } finally {
      reporting = false;
    }
  }
  if (!done) webHost().log('error', `Uncaught ${inspect(error)}`);
}

defineGlobal('reportError', reportError);
