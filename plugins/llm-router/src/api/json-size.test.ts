import { expect, it } from 'vitest';
import { countValues } from './json-size.js';

it('the values of a body may not be too many, nor too deep', () => {
  expect(() => countValues(`[${'{},'.repeat(60_000)}0]`)).toThrow(expect.objectContaining({ code: 'BODY_TOO_LARGE' }));
  expect(() => countValues('['.repeat(200))).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' }));
  expect(countValues(`["${'{},'.repeat(200_000)}"]`)).toBe(2);
});
