import { defineClass } from './define.js';
import { Event } from './event.js';
import { defineHandler, EventTarget, watchListeners } from './event-target.js';

const KEY = Symbol('construct');
/** Only controllers and timeouts may abort a signal; guests must not find the way in. */
let trigger: (signal: AbortSignal, reason?: unknown) => void;

class AbortSignal extends EventTarget {
  #aborted = false;
  #reason: unknown;
  /** For signals made by `any`: the signals they follow, none of them made by `any`. */
  #sources: AbortSignal[] = [];
  /** Signals that follow this one. Weak, so that a long-lived signal does not keep what depended on it … */
  readonly #dependants = new Set<WeakRef<AbortSignal>>();
  /** … but one with listeners has to live on until it can tell them. */
  readonly #awaited = new Set<AbortSignal>();
  #sweepAt = 32;

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
  throwIfAborted(): void {
    if (this.#aborted) throw this.#reason;
  }

  static abort(reason?: unknown): AbortSignal {
    const signal = new AbortSignal(KEY);
    signal.#set(reason);
    return signal;
  }
  static timeout(ms: number): AbortSignal {
    const delay = Number(ms);
    if (!Number.isFinite(delay) || delay < 0 || delay > Number.MAX_SAFE_INTEGER)
      throw new TypeError('AbortSignal.timeout needs a non-negative number.');
    const signal = new AbortSignal(KEY);
    setTimeout(() => trigger(signal, new DOMException('The operation timed out.', 'TimeoutError')), delay);
    return signal;
  }
  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const result = new AbortSignal(KEY);
    const given = [...signals];
    for (const signal of given)
      if (!(signal instanceof AbortSignal)) throw new TypeError('AbortSignal.any needs AbortSignals.');
    const aborted = given.find((signal) => signal.#aborted);
    if (aborted) result.#set(aborted.reason);
    else result.#follow(given);
    return result;
  }
  static {
    trigger = (signal, reason) => {
      if (signal.#aborted) return;
      signal.#set(reason);
      // All are aborted before the first listener runs, so that none sees a half-way state.
      const followers = [...signal.#dependants].flatMap((reference) => reference.deref() ?? []);
      const affected = followers.filter((follower) => !follower.#aborted);
      for (const follower of affected) follower.#set(signal.#reason);
      signal.#dependants.clear();
      signal.#awaited.clear();
      for (const each of [signal, ...affected]) each.dispatchEvent(new Event('abort'));
    };
  }

  #set(reason: unknown): void {
    this.#aborted = true;
    this.#reason = reason === undefined ? new DOMException('This operation was aborted', 'AbortError') : reason;
    for (const source of this.#sources) source.#awaited.delete(this);
    this.#sources = [];
  }

  #follow(signals: AbortSignal[]): void {
    this.#sources = [
      ...new Set(signals.flatMap((signal) => (signal.#sources.length > 0 ? signal.#sources : [signal]))),
    ];
    const reference = new WeakRef(this);
    for (const source of this.#sources) source.#addDependant(reference);
    watchListeners(this, (type, count) => {
      if (type !== 'abort') return;
      for (const source of this.#sources) {
        if (count > 0) source.#awaited.add(this);
        else source.#awaited.delete(this);
      }
    });
  }

  /** Now and then drops the references that lead nowhere any more: a long-lived signal may have had many followers. */
  #addDependant(reference: WeakRef<AbortSignal>): void {
    this.#dependants.add(reference);
    if (this.#dependants.size < this.#sweepAt) return;
    for (const each of this.#dependants) if (!each.deref()) this.#dependants.delete(each);
    this.#sweepAt = Math.max(32, this.#dependants.size * 2);
  }
}
defineHandler(AbortSignal.prototype, 'abort');

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
