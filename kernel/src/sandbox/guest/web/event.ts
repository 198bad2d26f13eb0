import { now } from './clock.js';
import { defineClass } from './define.js';

/** What only a target and its own event may do to an event; guests must not find the way in. */
export interface EventState {
  target: EventTarget | null;
  currentTarget: EventTarget | null;
  dispatching: boolean;
  stopped: boolean;
  canceled: boolean;
  passive: boolean;
}
export let stateOf: (event: unknown) => EventState | undefined;

interface EventFlags {
  bubbles?: boolean;
  cancelable?: boolean;
  composed?: boolean;
}

/** Dictionaries of the platform may be left out or null, but nothing else that is no object. */
export function dictionary<T extends object>(value: T | null | undefined): Partial<T> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' && typeof value !== 'function') throw new TypeError('The options are not an object.');
  return value;
}

export class Event {
  readonly #type: string;
  readonly #flags: Required<EventFlags>;
  readonly #created = now();
  readonly #state: EventState = {
    target: null,
    currentTarget: null,
    dispatching: false,
    stopped: false,
    canceled: false,
    passive: false,
  };

  constructor(type: string, init?: EventFlags) {
    if (arguments.length === 0) throw new TypeError('An event needs a type.');
    const { bubbles, cancelable, composed } = dictionary(init);
    this.#type = `${type}`;
    this.#flags = { bubbles: Boolean(bubbles), cancelable: Boolean(cancelable), composed: Boolean(composed) };
  }
  static {
    stateOf = (event) => (typeof event === 'object' && event !== null && #state in event ? event.#state : undefined);
  }
  get type(): string {
    return this.#type;
  }
  get target(): EventTarget | null {
    return this.#state.target;
  }
  get srcElement(): EventTarget | null {
    return this.#state.target;
  }
  get currentTarget(): EventTarget | null {
    return this.#state.currentTarget;
  }
  composedPath(): EventTarget[] {
    return this.#state.currentTarget ? [this.#state.currentTarget] : [];
  }
  get eventPhase(): number {
    return this.#state.currentTarget ? 2 : 0;
  }
  stopPropagation(): void {}
  stopImmediatePropagation(): void {
    this.#state.stopped = true;
  }
  get cancelBubble(): boolean {
    return this.#state.stopped;
  }
  get bubbles(): boolean {
    return this.#flags.bubbles;
  }
  get cancelable(): boolean {
    return this.#flags.cancelable;
  }
  get composed(): boolean {
    return this.#flags.composed;
  }
  preventDefault(): void {
    if (this.#flags.cancelable && !this.#state.passive) this.#state.canceled = true;
  }
  get defaultPrevented(): boolean {
    return this.#state.canceled;
  }
  get returnValue(): boolean {
    return !this.#state.canceled;
  }
  get isTrusted(): boolean {
    return false;
  }
  get timeStamp(): number {
    return this.#created;
  }
}

const PHASES = { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 };
for (const [name, value] of Object.entries(PHASES)) {
  for (const target of [Event, Event.prototype]) Object.defineProperty(target, name, { value, enumerable: true });
}

class CustomEvent extends Event {
  readonly #detail: unknown;
  constructor(type: string, init?: EventFlags & { detail?: unknown }) {
    if (arguments.length === 0) throw new TypeError('An event needs a type.');
    super(type, init);
    this.#detail = dictionary(init).detail ?? null;
  }
  get detail(): unknown {
    return this.#detail;
  }
}

class ErrorEvent extends Event {
  readonly #init: { message: string; filename: string; lineno: number; colno: number; error: unknown };
  constructor(
    type: string,
    init?: EventFlags & { message?: string; filename?: string; lineno?: number; colno?: number; error?: unknown },
  ) {
    super(type, init);
    const { message = '', filename = '', lineno = 0, colno = 0, error } = dictionary(init);
    this.#init = { message: `${message}`, filename: `${filename}`, lineno: lineno >>> 0, colno: colno >>> 0, error };
  }
  get message(): string {
    return this.#init.message;
  }
  get filename(): string {
    return this.#init.filename;
  }
  get lineno(): number {
    return this.#init.lineno;
  }
  get colno(): number {
    return this.#init.colno;
  }
  get error(): unknown {
    return this.#init.error;
  }
}

class PromiseRejectionEvent extends Event {
  readonly #init: { promise: Promise<unknown>; reason: unknown };
  constructor(type: string, init: EventFlags & { promise: Promise<unknown>; reason?: unknown }) {
    super(type, init);
    const { promise, reason } = dictionary(init);
    if (typeof promise !== 'object' || promise === null) throw new TypeError('The event needs a promise.');
    this.#init = { promise, reason };
  }
  get promise(): Promise<unknown> {
    return this.#init.promise;
  }
  get reason(): unknown {
    return this.#init.reason;
  }
}

interface MessageInit extends EventFlags {
  data?: unknown;
  origin?: string;
  lastEventId?: string;
  source?: object | null;
  ports?: Iterable<object>;
}

export class MessageEvent extends Event {
  readonly #init: {
    data: unknown;
    origin: string;
    lastEventId: string;
    source: object | null;
    ports: readonly object[];
  };
  constructor(type: string, init?: MessageInit) {
    super(type, init);
    const { data = null, origin = '', lastEventId = '', source = null, ports = [] } = dictionary(init);
    const list = Object.freeze([...ports]);
    this.#init = { data, origin: `${origin}`, lastEventId: `${lastEventId}`, source, ports: list };
  }
  get data(): unknown {
    return this.#init.data;
  }
  get origin(): string {
    return this.#init.origin;
  }
  get lastEventId(): string {
    return this.#init.lastEventId;
  }
  get source(): object | null {
    return this.#init.source;
  }
  get ports(): readonly object[] {
    return this.#init.ports;
  }
}

defineClass('Event', Event as never);
defineClass('CustomEvent', CustomEvent as never);
defineClass('ErrorEvent', ErrorEvent as never);
defineClass('PromiseRejectionEvent', PromiseRejectionEvent as never);
defineClass('MessageEvent', MessageEvent as never);
