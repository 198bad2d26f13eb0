import { expect, it } from 'vitest';
import { countValues } from './guest-json.js';

it('refuses what is nested too deeply, or has too many values', () => {
  expect(countValues('['.repeat(500) + ']'.repeat(500))).toBe(501);
  for (const json of ['['.repeat(501), '{"a":'.repeat(501), `[${'{},'.repeat(250_000)}0]`])
    expect(() => countValues(json)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
});
