import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countValues } from './json-size.js';

/** Containers, and what stands beside something else in one. */
function count(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const members = Object.values(value);
  return 1 + Math.max(0, members.length - 1) + members.reduce((sum: number, member) => sum + count(member), 0);
}

describe('the values of a body', () => {
  it('are counted without being misled by what stands in texts', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(countValues(JSON.stringify(value))).toBe(1 + count(value));
      }),
    );
    expect(countValues('"{[,\\"{[,\\\\"')).toBe(1);
  });

  it('may not be too many, nor too deep', () => {
    expect(() => countValues(`[${'{},'.repeat(60_000)}0]`)).toThrow(
      expect.objectContaining({ code: 'BODY_TOO_LARGE' }),
    );
    expect(() => countValues('['.repeat(200))).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
    expect(countValues(`["${'{},'.repeat(200_000)}"]`)).toBe(2);
  });
});
