import { Event as ShimEvent, EventTarget as ShimEventTarget } from 'event-target-shim';
import { defineClass } from './define.js';

class Event extends ShimEvent {
  override get isTrusted(): boolean {
    return false;
  }
}

class CustomEvent extends Event {
  readonly #detail: unknown;
  constructor(type: string, init: { detail?: unknown; bubbles?: boolean; cancelable?: boolean } = {}) {
    super(type, init);
    this.#detail = init.detail ?? null;
  }
  get detail(): unknown {
    return this.#detail;
  }
}

defineClass('Event', Event);
defineClass('CustomEvent', CustomEvent);
defineClass('EventTarget', ShimEventTarget);
