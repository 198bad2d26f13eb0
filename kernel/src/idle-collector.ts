import { performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import { collectGarbage } from './collect-garbage.js';

const EVERY_MS = 5_000;
/** How long the rest must last: with the garbage, the engine throws away code that was compiled for objects of which there are none now. */
const REST_MS = 30_000;
/** Share of the time that this thread has had something to do, up to which a pause of some ten milliseconds disturbs nobody. */
const IDLE = 0.1;
/** What the heap must have grown by for it to be worth a pause, in bytes. */
const WORTH_IT = 16_777_216;

/** What the heap has of the machine; after a busy time most of it may be empty. */
const taken = (): number => getHeapStatistics().total_heap_size;

/**
 * Gives this thread's memory back when it rests: the engine itself only collects when something new is made, so that what a hundred swaps
 * have left behind would stay until the next busy hour.
 */
export function collectWhenIdle(): void {
  let floor = taken();
  let since = performance.eventLoopUtilization();
  let rested = 0;
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, since);
    since = now;
    const size = taken();
    floor = Math.min(floor, size);
    rested = utilization > IDLE ? 0 : rested + EVERY_MS;
    if (rested < REST_MS || size - floor < WORTH_IT) return;
    collectGarbage();
    floor = taken();
  }, EVERY_MS);
  timer.unref();
}
