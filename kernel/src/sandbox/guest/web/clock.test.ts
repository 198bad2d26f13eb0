import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ClockSteps } from '../../cell/clock-steps.js';
import { now, startClock, stepClock, timeOrigin } from './clock.js';

const HOUR_MS = 3_600_000;
let steps: ClockSteps;

beforeEach(() => {
  vi.useFakeTimers();
  steps = new ClockSteps();
  startClock();
});
afterEach(() => vi.useRealTimers());

const set = (ms: number) => vi.setSystemTime(Date.now() + ms);
/** As the cell does before it enters the guest. */
const tell = () => stepClock(steps.take());

it.each([HOUR_MS, -HOUR_MS])('goes on as before when the system clock is set by %d ms', (step) => {
  const origin = timeOrigin();
  vi.advanceTimersByTime(500);
  set(step);
  tell();
  expect([now(), timeOrigin()]).toEqual([500, origin]);
  vi.advanceTimersByTime(100);
  expect(now()).toBe(600);
});

it.each([HOUR_MS, -HOUR_MS])(
  'that was looked at before the step of %d ms was told never goes back, and goes on',
  (step) => {
    vi.advanceTimersByTime(500);
    set(step);
    const seen = now();
    tell();
    expect(now()).toBe(Math.max(500, seen));
    vi.advanceTimersByTime(100);
    expect(now()).toBe(Math.max(500, seen) + 100);
  },
);

it('a step is told once, and drift is none', () => {
  set(100);
  expect(steps.take()).toBe(0);
  set(HOUR_MS);
  expect([steps.take(), steps.take()]).toEqual([HOUR_MS + 100, 0]);
});
