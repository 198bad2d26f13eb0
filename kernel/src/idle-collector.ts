import { performance } from 'node:perf_hooks';
import { collectGarbage } from './collect-garbage.js';

const EVERY_MS = 5_000;
/** Share of the time that this thread has had something to do, up to which a pause of some ten milliseconds disturbs nobody. */
const IDLE = 0.1;
/** What must have piled up on the heap for it to be worth a pause, in bytes. */
const WORTH_IT = 33_554_432;

/**
 * Gives memory back when the server rests: the engine itself only collects when something new is made, so that what a hundred swaps
 * have left behind would stay until the next busy hour.
 */
export function collectWhenIdle(): void {
  let floor = process.memoryUsage().heapUsed;
  let since = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, since);
    since = now;
    const { heapUsed } = process.memoryUsage();
    floor = Math.min(floor, heapUsed);
    if (utilization > IDLE || heapUsed - floor < WORTH_IT) return;
    collectGarbage();
    floor = process.memoryUsage().heapUsed;
  }, EVERY_MS);
  timer.unref();
}
