import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countValues } from './guest-json.js';

const count = (json: string) => countValues(Buffer.from(json));

/** Members and items, and the value itself; keys are no values of their own. */
function valuesOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return Object.values(value).reduce((sum: number, member) => sum + valuesOf(member), 1);
}

describe('countValues', () => {
  it('counts each value at least once and at most twice, whatever texts hold', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const counted = count(JSON.stringify(value));
        expect(counted).toBeGreaterThanOrEqual(valuesOf(value));
        expect(counted).toBeLessThanOrEqual(valuesOf(value) * 2);
      }),
    );
  });

  it.each(['"[[[{{{,,,"', '"\\"[,"', '"\\\\"', '"a\\\\\\"[[,"'])(
    'takes nothing in the text %s for structure',
    (json) => {
      expect(count(json)).toBe(1);
    },
  );

  it('takes what is large but simple, and ends with what is no JSON', () => {
    expect(count(JSON.stringify('x'.repeat(15_000_000)))).toBe(1);
    expect(count('"never ends')).toBe(1);
    expect(count('}}]]')).toBe(1);
  });

  it('refuses what is nested too deeply, or has too many values', () => {
    expect(count('['.repeat(500) + ']'.repeat(500))).toBe(501);
    for (const json of ['['.repeat(501), '{"a":'.repeat(501), `[${'{},'.repeat(250_000)}0]`])
      expect(() => count(json)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
  });
});
