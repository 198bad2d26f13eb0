import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { sizeOfJson } from './json-size.js';

const MOST = { values: 1_000, depth: 100 };

/** Containers, and what stands beside something else in one; and the value itself. */
function valuesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  const members = Object.values(value);
  return 1 + Math.max(1, members.length) + members.reduce((sum: number, member) => sum + valuesOf(member) - 1, 0);
}

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('sizeOfJson', () => {
  it('counts values and nesting, whatever texts hold', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const size = { values: valuesOf(value), depth: depthOf(value) };
        expect(sizeOfJson(JSON.stringify(value), { values: 1e9, depth: 1e9 })).toEqual(size);
      }),
    );
  });

  it.each(['"[[[{{{,,,"', '"\\"[,"', '"\\\\"', '"a\\\\\\"[[,"'])(
    'takes nothing in the text %s for structure',
    (json) => {
      expect(sizeOfJson(json, MOST)).toEqual({ values: 1, depth: 0 });
    },
  );

  it('takes what is large but simple, and ends with what is no JSON', () => {
    for (const json of [JSON.stringify('x'.repeat(15_000_000)), '"never ends', '}}]]', ''])
      expect(sizeOfJson(json, MOST)).toEqual({ values: 1, depth: 0 });
  });

  it('stops at once beyond what is allowed', () => {
    expect(sizeOfJson(`[${'{},'.repeat(100_000)}0]`, MOST)).toEqual({ values: 1_001, depth: 2 });
    expect(sizeOfJson('['.repeat(100_000), MOST)).toEqual({ values: 102, depth: 101 });
  });
});
