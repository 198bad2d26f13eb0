import { describe, expect, it } from 'vitest';
import { FrameIds } from './frame-ids.js';

const LAST = 0x7fff_ffff;

describe('ids of frames', () => {
  it('are of the side that they were made on', () => {
    const guest = new FrameIds(1, 2);
    const kernel = new FrameIds(2, 2);
    const none = new Set<number>();
    expect([guest.take(none), guest.take(none), kernel.take(none), kernel.take(none)]).toEqual([1, 3, 2, 4]);
  });

  it.each([
    [1, LAST - 2],
    [2, LAST - 1],
  ])('begin anew at %i after %i, past those in use', (first, last) => {
    const ids = new FrameIds(first, 2, last);
    const inUse = new Set([first, first + 4]);
    expect([ids.take(inUse), ids.take(inUse), ids.take(inUse)]).toEqual([last, first + 2, first + 6]);
  });
});
