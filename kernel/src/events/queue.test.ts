import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ListenerQueue } from './queue.js';

/** A queue whose handler waits until it is let go. */
function gated(limit: number) {
  const handled: number[] = [];
  const waiting: (() => void)[] = [];
  const left: number[] = [];
  let overflows = 0;
  const queue = new ListenerQueue<number>(limit, {
    handle: (item) => {
      handled.push(item);
      return new Promise<void>((resolve) => waiting.push(resolve));
    },
    onError: () => {},
    onOverflow: () => overflows++,
    onLeave: (item) => left.push(item),
  });
  const settle = async () => {
    for (let turn = 0; turn < 5; turn++) await null;
  };
  const letGo = async () => {
    waiting.shift()?.();
    await settle();
  };
  return { queue, handled, left, letGo, settle, overflows: () => overflows };
}

describe('a listener queue', () => {
  it('never handles an item on the pusher’s stack', async () => {
    const { queue, handled, settle } = gated(5);
    queue.push(1);
    expect(handled).toEqual([]);
    await settle();
    expect(handled).toEqual([1]);
  });

  it('drops the oldest, counts each, and tells once per burst', async () => {
    const { queue, handled, letGo, settle, overflows } = gated(4);
    queue.push(0);
    await settle();
    for (let item = 1; item <= 10; item++) queue.push(item);
    expect([queue.size, queue.dropped, overflows()]).toEqual([4, 6, 1]);
    for (let turn = 0; turn < 5; turn++) await letGo();
    expect(handled).toEqual([0, 7, 8, 9, 10]);
    for (let item = 11; item <= 20; item++) queue.push(item);
    expect(overflows()).toBe(2);
  });

  it('goes on after failures, also of its hooks', async () => {
    const handled: number[] = [];
    const queue = new ListenerQueue<number>(2, {
      handle: (item) => {
        handled.push(item);
        throw new TypeError('no');
      },
      onError: () => {
        throw new TypeError('the log is full');
      },
      onOverflow: () => {
        throw new TypeError('the log is full');
      },
      onLeave: () => {
        throw new TypeError('no');
      },
    });
    for (const item of [1, 2, 3]) queue.push(item);
    await queue.idle();
    queue.push(4);
    await queue.idle();
    expect(handled).toEqual([2, 3, 4]);
  });

  it('tells of each item once that it has left, however it does', async () => {
    const { queue, left, letGo, settle } = gated(2);
    queue.push(0);
    await settle();
    for (const item of [1, 2, 3]) queue.push(item);
    expect(left).toEqual([1]);
    await letGo();
    expect(left).toEqual([1, 0]);
    queue.close();
    queue.push(4);
    await letGo();
    expect(left).toEqual([1, 0, 3, 4, 2]);
  });

  it('forgets what waits when it is closed', async () => {
    const { queue, handled, letGo, settle } = gated(5);
    queue.push(1);
    queue.push(2);
    await settle();
    queue.close();
    queue.push(3);
    await letGo();
    await queue.idle();
    expect([handled, queue.size]).toEqual([[1], 0]);
  });

  it('does what a list with a limit does, whatever the order of pushes and ends', async () => {
    const steps = fc.array(fc.constantFrom('push', 'end'), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), steps, async (limit, script) => {
        const { queue, handled, letGo, settle } = gated(limit);
        const model = { waiting: [] as number[], handled: [] as number[], busy: false, dropped: 0 };
        const take = () => {
          const next = model.waiting.shift();
          model.busy = next !== undefined;
          if (next !== undefined) model.handled.push(next);
        };
        for (const [item, step] of script.entries()) {
          if (step === 'push') {
            queue.push(item);
            model.waiting.push(item);
            if (model.waiting.length > limit) {
              model.waiting.shift();
              model.dropped++;
            }
            await settle();
            if (!model.busy) take();
          } else if (model.busy) {
            await letGo();
            take();
          }
          expect([handled, queue.size, queue.dropped]).toEqual([model.handled, model.waiting.length, model.dropped]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
