import { defineGlobal } from './define.js';
import { FrameIds } from '../../protocol/frame-ids.js';
import { webHost } from './host.js';
import { bindTask } from './task.js';

type Task = (...args: unknown[]) => unknown;
interface Timer {
  run: () => void;
  /** For intervals, in ms. */
  every?: number;
}

const MAX_TIMERS = 10_000;
const timers = new Map<number, Timer>();
const resolved = Promise.resolve();
const ids = new FrameIds(1, 1);

function guarded(task: unknown, args: unknown[], what: string): () => void {
  if (typeof task !== 'function') throw new TypeError(`${what} needs a function.`);
  const bound = bindTask(task as Task);
  return () => {
    try {
      bound(...args);
    } catch (error) {
      reportError(error);
    }
  };
}

function start(timer: Timer, ms: unknown): number {
  if (timers.size >= MAX_TIMERS) throw new RangeError(`More than ${MAX_TIMERS} timers.`);
  const id = ids.take(timers);
  timers.set(id, timer);
  webHost().setTimer(id, delayOf(ms));
  return id;
}

const delayOf = (ms: unknown) => Math.max(0, Math.trunc(Number(ms)) || 0);

function clear(id: unknown): void {
  if (timers.delete(Number(id))) webHost().clearTimer(Number(id));
}

/** The host calls this when a timer is due. */
export function fireTimer(id: number): void {
  const timer = timers.get(id);
  if (!timer) return;
  if (timer.every === undefined) timers.delete(id);
  else webHost().setTimer(id, timer.every);
  timer.run();
}

defineGlobal('setTimeout', (task: unknown, ms?: unknown, ...args: unknown[]) =>
  start({ run: guarded(task, args, 'setTimeout') }, ms),
);
defineGlobal('setInterval', (task: unknown, ms?: unknown, ...args: unknown[]) =>
  start({ run: guarded(task, args, 'setInterval'), every: Math.max(1, delayOf(ms)) }, ms),
);
defineGlobal('clearTimeout', clear);
defineGlobal('clearInterval', clear);
defineGlobal('queueMicrotask', (task: unknown) => {
  void resolved.then(guarded(task, [], 'queueMicrotask'));
});
