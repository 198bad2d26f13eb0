import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Windows } from './windows.js';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const HOUR_MS = 3_600_000;

describe('a window', () => {
  it('counts up to its limit, and begins anew when its time is over', () => {
    const windows = new Windows(2, 60);
    expect([1, 2, 3].map(() => windows.count('a').allowed)).toEqual([true, true, false]);
    expect(windows.count('b')).toMatchObject({ allowed: true, remaining: 1, resetMs: 60_000 });
    vi.advanceTimersByTime(60_000);
    expect(windows.count('a')).toMatchObject({ allowed: true, remaining: 1 });
  });

  it.each([HOUR_MS, -HOUR_MS])('is as long as before when the clock is set by %d ms', (step) => {
    const windows = new Windows(1, 60);
    windows.count('a');
    vi.setSystemTime(Date.now() + step);
    expect(windows.count('a')).toEqual({ allowed: false, remaining: 0, resetMs: 60_000 });
    vi.advanceTimersByTime(60_000);
    expect(windows.count('a').allowed).toBe(true);
  });
});
