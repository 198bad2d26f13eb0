import { defineClass } from './define.js';

const KEY = Symbol('construct');
/** Only controllers and timeouts may abort a signal; guests must not find the way in. */
let trigger: (signal: AbortSignal, reason?: unknown) => void;
type Handler = ((event: Event) => unknown) | null;

class AbortSignal extends EventTarget {
  #aborted = false;
  #reason: unknown;
  #onabort: Handler = null;
  /** Signals made by `any` of this one. Weak, so that a long-lived signal does not keep what depended on it. */
  readonly #dependants = new Set<WeakRef<AbortSignal>>();

  constructor(key?: symbol) {
    if (key !== KEY) throw new TypeError('Illegal constructor');
    super();
  }
  get aborted(): boolean {
    return this.#aborted;
  }
  get reason(): unknown {
    return this.#reason;
  }
  get onabort(): Handler {
    return this.#onabort;
  }
  set onabort(handler: Handler) {
    if (this.#onabort) this.removeEventListener('abort', this.#onabort);
    this.#onabort = typeof handler === 'function' ? handler : null;
    if (this.#onabort) this.addEventListener('abort', this.#onabort);
  }
  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(KEY);
    signal.#set(reason);
    return signal;
  }
  static timeout(ms: number): AbortSignal {
    if (!Number.isFinite(Number(ms)) || ms < 0) throw new TypeError('AbortSignal.timeout needs a non-negative number.');
    const signal = new AbortSignal(KEY);
    setTimeout(() => trigger(signal, new DOMException('The operation timed out.', 'TimeoutError')), ms);
    return signal;
  }
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const result = new AbortSignal(KEY);
    const sources = [...signals];
    for (const source of sources) {
      if (!(source instanceof AbortSignal)) throw new TypeError('AbortSignal.any needs AbortSignals.');
      if (source.aborted) {
        result.#set(source.reason);
        return result;
      }
    }
    for (const source of sources) source.#dependants.add(new WeakRef(result));
    return result;
  }
  static {
    trigger = (signal, reason) => {
      if (signal.#aborted) return;
      signal.#set(reason);
      const dependants = [...signal.#dependants].map((reference) => reference.deref());
      signal.#dependants.clear();
      signal.dispatchEvent(new Event('abort'));
      for (const dependant of dependants) if (dependant) trigger(dependant, signal.#reason);
    };
  }
  #set(reason: unknown): void {
    this.#aborted = true;
    this.#reason = reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
  }
}

class AbortController {
  readonly #signal = new AbortSignal(KEY);
  get signal(): AbortSignal {
    return this.#signal;
  }
  abort(reason?: unknown): void {
    trigger(this.#signal, reason);
  }
}

defineClass('AbortSignal', AbortSignal as never);
defineClass('AbortController', AbortController);
