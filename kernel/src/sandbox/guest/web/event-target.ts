import { defineClass } from './define.js';
import { dictionary, type Event, stateOf } from './event.js';

type Callback = ((event: Event) => unknown) | { handleEvent?: (event: Event) => unknown };

interface Listener {
  callback: Callback;
  capture: boolean;
  once: boolean;
  passive: boolean;
  removed: boolean;
}

interface ListenerOptions {
  capture?: boolean;
  once?: boolean;
  passive?: boolean;
  signal?: AbortSignal;
}

/** Told how many listeners for a type there are after a change. */
export type OnListeners = (type: string, count: number) => void;
export let watchListeners: (target: object, watch: OnListeners) => void;

export class EventTarget {
  readonly #listeners = new Map<string, Listener[]>();
  #watch: OnListeners | undefined;

  static {
    watchListeners = (target, watch) => {
      (target as EventTarget).#watch = watch;
    };
  }

  addEventListener(type: string, callback: Callback | null, options?: ListenerOptions | boolean): void {
    if (arguments.length < 2) throw new TypeError('addEventListener needs a type and a listener.');
    assertCallback(callback);
    const { capture, once, passive, signal } = listenerOptions(options);
    if (signal !== undefined && !(signal instanceof globalThis.AbortSignal))
      throw new TypeError('The signal is not an AbortSignal.');
    if (callback === null || signal?.aborted) return;
    const name = `${type}`;
    const list = this.#listeners.get(name) ?? [];
    if (list.some((known) => known.callback === callback && known.capture === capture)) return;
    // A new list: the one being called stays as it was.
    this.#set(name, [...list, { callback, capture, once, passive, removed: false }]);
    signal?.addEventListener('abort', () => this.removeEventListener(name, callback, { capture }), { once: true });
  }

  removeEventListener(type: string, callback: Callback | null, options?: { capture?: boolean } | boolean): void {
    if (arguments.length < 2) throw new TypeError('removeEventListener needs a type and a listener.');
    assertCallback(callback);
    const { capture } = listenerOptions(options);
    const name = `${type}`;
    const list = this.#listeners.get(name);
    const found = list?.find((known) => known.callback === callback && known.capture === capture);
    if (found) this.#remove(name, found);
  }

  dispatchEvent(event: Event): boolean {
    const state = stateOf(event);
    if (!state) throw new TypeError('dispatchEvent needs an Event.');
    if (state.dispatching) throw new DOMException('The event is already being dispatched.', 'InvalidStateError');
    state.dispatching = true;
    state.target = state.currentTarget = this as never;
    for (const listener of this.#listeners.get(event.type) ?? []) {
      if (listener.removed) continue;
      if (listener.once) this.#remove(event.type, listener);
      state.passive = listener.passive;
      call(this, listener.callback, event);
      state.passive = false;
      if (state.stopped) break;
    }
    state.currentTarget = null;
    state.dispatching = state.stopped = false;
    return !state.canceled;
  }

  #remove(type: string, listener: Listener): void {
    listener.removed = true;
    this.#set(
      type,
      (this.#listeners.get(type) ?? []).filter((other) => other !== listener),
    );
  }

  #set(type: string, list: Listener[]): void {
    if (list.length > 0) this.#listeners.set(type, list);
    else this.#listeners.delete(type);
    this.#watch?.(type, list.length);
  }
}

function assertCallback(callback: unknown): asserts callback is Callback | null {
  if (callback !== null && callback !== undefined && typeof callback !== 'function' && typeof callback !== 'object')
    throw new TypeError('The listener is neither a function nor an object.');
}

function listenerOptions(options: ListenerOptions | boolean | null | undefined) {
  if (typeof options === 'boolean') return { capture: options, once: false, passive: false };
  const { capture, once, passive, signal } = dictionary(options as ListenerOptions);
  return { capture: Boolean(capture), once: Boolean(once), passive: Boolean(passive), signal };
}

/** One listener's error must not keep the others from being called. */
function call(target: EventTarget, callback: Callback, event: Event): void {
  try {
    if (typeof callback === 'function') Reflect.apply(callback, target, [event]);
    else callback.handleEvent?.(event);
  } catch (error) {
    globalThis.reportError(error);
  }
}

defineClass('EventTarget', EventTarget as never);

/** Adds an `on<type>` property to a class of targets: one listener that can be replaced, in the place where it was first set. */
export function defineHandler(prototype: object, type: string, onSet?: (target: EventTarget) => void): void {
  const handlers = new WeakMap<object, { current: unknown }>();
  Object.defineProperty(prototype, `on${type}`, {
    get(this: object) {
      return handlers.get(this)?.current ?? null;
    },
    set(this: EventTarget, value: unknown) {
      const handler = typeof value === 'function' || (typeof value === 'object' && value !== null) ? value : null;
      const entry = handlers.get(this);
      if (entry) entry.current = handler;
      else if (handler) {
        const added = { current: handler as unknown };
        handlers.set(this, added);
        this.addEventListener(type, function each(this: unknown, event: Event) {
          if (typeof added.current === 'function') Reflect.apply(added.current, this, [event]);
        });
      }
      onSet?.(this);
    },
    enumerable: true,
    configurable: true,
  });
}
