import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { MASK, maskBySchema } from './mask.js';

const secret = { type: 'string', secret: true };

describe('maskBySchema', () => {
  it.each([
    ['a property', { properties: { a: secret } }, { a: 'x', b: 'x' }, { a: MASK, b: 'x' }],
    [
      'a record',
      Type.Record(Type.String(), Type.Object({ v: Type.String({ secret: true }) })),
      { k: { v: 'x' } },
      { k: { v: MASK } },
    ],
    [
      'additional properties',
      { properties: { b: {} }, additionalProperties: secret },
      { a: 'x', b: 'x' },
      { a: MASK, b: 'x' },
    ],
    ['items', { items: { properties: { a: secret } } }, [{ a: 'x' }], [{ a: MASK }]],
    ['tuples', { prefixItems: [{}, secret] }, ['x', 'x'], [MASK, MASK]],
    ['a branch', { properties: { a: { anyOf: [{ type: 'number' }, secret] } } }, { a: 5 }, { a: MASK }],
    [
      'all of',
      { allOf: [{ properties: { a: secret } }, { properties: { b: {} } }] },
      { a: 'x', b: 'x' },
      { a: MASK, b: 'x' },
    ],
    // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
    ['a condition', { if: {}, then: { properties: { a: secret } } }, { a: 'x' }, { a: MASK }],
    ['a definition', { $defs: { s: secret }, properties: { a: { $ref: '#/$defs/s' } } }, { a: 'x' }, { a: MASK }],
    [
      'recursion',
      { properties: { s: secret, next: { $ref: '#' } } },
      { next: { next: { s: 'x' } } },
      { next: { next: { s: MASK } } },
    ],
    ['a whole object', { properties: { a: { type: 'object', secret: true } } }, { a: { b: 'x' } }, { a: MASK }],
    [
      'what is not there',
      { properties: { a: secret, b: secret } },
      { a: undefined, b: null },
      { a: undefined, b: null },
    ],
    ['no schema', undefined, { a: 'x' }, { a: 'x' }],
  ])('%s', (_, schema, value, masked) => {
    expect(maskBySchema(schema, value)).toEqual(masked);
  });
});
