import { expect, it } from 'vitest';
import { RE2JS } from 're2js';
import { patternSize } from './pattern-size.js';

it.each([
  '^[a-z0-9._-]{1,100}$',
  '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(\\.\\d{1,9})?Z$',
  '(?:[a-z]{1,20}[0-9]{1,20}){1,20}',
  '(a|b|[]x]|[^]y\\]])*',
  '((ab){3}c){5,}',
  'x{,3}{y}',
  '\\((a{2}\\)){10}',
])('is near what %s becomes', (pattern) => {
  const real = RE2JS.compile(pattern).programSize();
  expect(patternSize(pattern)).toBeGreaterThan(real / 4 - 5);
  expect(patternSize(pattern)).toBeLessThan(real * 4 + 5);
});

it.each(['((((', '))))', '[', '[^', '\\', '{', 'a{99999}', ''])('has some size for %s', (pattern) => {
  expect(patternSize(pattern)).toBeLessThan(20);
});
