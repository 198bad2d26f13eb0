import { expect, it } from 'vitest';
import { Turnstile } from './turnstile.js';

const calm = new AbortController().signal;

it('lets so many through, the others in order, and turns too many away', async () => {
  const turnstile = new Turnstile(2, 3);
  const gates: (() => void)[] = [];
  const order: number[] = [];
  const enter = (n: number, signal = calm) =>
    turnstile.run(() => {
      order.push(n);
      return new Promise<void>((resolve) => gates.push(resolve));
    }, signal);
  const gone = new AbortController();
  const all = [enter(0), enter(1), enter(2), enter(3, gone.signal), enter(4)];
  await expect(enter(5)).rejects.toMatchObject({ code: 'OVERLOADED' });
  expect(order).toEqual([0, 1]);
  gone.abort(new Error('gave up'));
  const abandoned = expect(all[3]).rejects.toThrow('gave up');
  for (let n = 0; n < 4; n++) {
    gates.shift()!();
    await new Promise((resolve) => setImmediate(resolve));
  }
  await abandoned;
  expect(order).toEqual([0, 1, 2, 4]);
  await Promise.all([all[0], all[1], all[2], all[4]]);
  await turnstile.run(() => order.push(6), calm);
  expect(order.at(-1)).toBe(6);
});

it('goes on after a failure', async () => {
  const turnstile = new Turnstile(1, 10);
  const fail = () => Promise.reject(new Error('no'));
  await Promise.allSettled([turnstile.run(fail, calm), turnstile.run(fail, calm)]);
  expect(await turnstile.run(() => 'yes', calm)).toBe('yes');
});
