import { expect, it } from 'vitest';
import { countOf, logprobsOf } from './upstream-values.js';

it.each([
  [3, 3],
  [3.5, 4],
  [-1, 0],
  [null, undefined],
  ['3', undefined],
  [Number.NaN, undefined],
])('the counter %j is %j', (value, count) => {
  expect(countOf(value)).toBe(count);
});

it('log probabilities survive nulls and odd entries', () => {
  const top_logprobs = [
    { token: 'x', logprob: -0.1, bytes: [120] },
    { token: 'y', logprob: null },
    null,
    { logprob: 1 },
  ];
  expect(logprobsOf([{ token: 'x', logprob: -0.1, bytes: null, top_logprobs }, null])).toEqual([
    {
      token: 'x',
      logprob: -0.1,
      top: [
        { token: 'x', logprob: -0.1, bytes: [120] },
        { token: 'y', logprob: -9999 },
      ],
    },
  ]);
  expect(logprobsOf([{ token: 'x', logprob: -0.1, top_logprobs: null }])).toEqual([{ token: 'x', logprob: -0.1 }]);
  for (const nothing of [null, undefined, {}, [], [null]]) expect(logprobsOf(nothing)).toBeUndefined();
});
