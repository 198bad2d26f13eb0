import { now, timeOrigin } from './clock.js';
import { defineClass, defineGlobal } from './define.js';
import { EventTarget } from './event-target.js';

const KEY = Symbol('construct');

class Performance extends EventTarget {
  constructor(key?: symbol) {
    if (key !== KEY) throw new TypeError('Illegal constructor');
    super();
  }
  now(): number {
    return now();
  }
  get timeOrigin(): number {
    return timeOrigin();
  }
  toJSON(): object {
    return { timeOrigin: timeOrigin() };
  }
}

defineClass('Performance', Performance as never);
defineGlobal('performance', new Performance(KEY));
