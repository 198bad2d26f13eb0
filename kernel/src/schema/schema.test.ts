import { AtollError, type JsonSchema } from '@atoll/plugin-sdk/contract';
import fc from 'fast-check';
import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { compileGuestSchema } from './index.js';

const plain = (schema: object): JsonSchema => JSON.parse(JSON.stringify(schema)) as JsonSchema;

function refusal(schema: unknown): string {
  try {
    compileGuestSchema(schema as JsonSchema);
  } catch (error) {
    expect(error).toBeInstanceOf(AtollError);
    expect((error as AtollError).code).toBe('MANIFEST_INVALID');
    return (error as AtollError).message;
  }
  return 'accepted';
}

/** `{key: {key: … leaf}}`, made without recursion. */
function nest(key: string, depth: number, leaf: unknown): unknown {
  let value = leaf;
  for (let n = 0; n < depth; n++) value = { [key]: value };
  return value;
}

describe('checks', () => {
  it('follow the schema', () => {
    const { check } = compileGuestSchema(
      plain(Type.Object({ name: Type.String({ minLength: 2 }), n: Type.Optional(Type.Integer()) })),
    );
    expect(check({ name: 'ab' })).toBe(true);
    expect(check({ name: 'ab', n: 1.5 })).toBe(false);
    expect(check({ name: 'a' })).toBe(false);
    expect(check(undefined)).toBe(false);
  });

  it('enforce patterns, also with named groups and in unions', () => {
    const { check, errors, schema } = compileGuestSchema({ type: 'string', pattern: '^(?<word>a+)$' });
    expect([check('aaa'), check('ab'), check('')]).toEqual([true, false, false]);
    expect(errors('b')).toEqual([{ pointer: '', message: 'must match pattern "^(?<word>a+)$"' }]);
    expect(JSON.parse(JSON.stringify(schema))).toEqual({ type: 'string', pattern: '^(?<word>a+)$' });
    const union = compileGuestSchema({ anyOf: [{ type: 'string', pattern: '^a$' }, { type: 'number' }] });
    expect([union.check('a'), union.check('b'), union.check(1)]).toEqual([true, false, true]);
  });

  it('enforce patterns of keys, and what the other members have to be', () => {
    const { check, errors } = compileGuestSchema({
      type: 'object', properties: { id: { type: 'string' } },
      patternProperties: { '^x-': { type: 'string' }, '^n-': { $ref: '#/$defs/N' } },
      additionalProperties: false, $defs: { N: { type: 'number' } },
    }); // biome-ignore format: a schema
    expect(check({ id: 'a', 'x-a': 'b', 'n-a': 1 })).toBe(true);
    expect(check({ id: 1 })).toBe(false);
    expect(check({ 'x-a': 1 })).toBe(false);
    expect(check({ 'n-a': 'b' })).toBe(false);
    expect(check({ other: 1 })).toBe(false);
    expect(errors({ other: 1 })).toEqual([{ pointer: '', message: 'the member "other" is not as it should be' }]);
  });

  it('know records as TypeBox writes them', () => {
    const { check } = compileGuestSchema(plain(Type.Record(Type.String(), Type.Number())));
    expect([check({ a: 1, 'b\n': 2 }), check({ a: 'x' }), check({ 'b\n': 'x' })]).toEqual([true, false, false]);
    const digits = compileGuestSchema(plain(Type.Record(Type.Integer(), Type.Number())));
    expect([digits.check({ 1: 1 }), digits.check({ 1: 'x' })]).toEqual([true, false]);
  });

  it('tell equal items from different ones', () => {
    const { check, errors } = compileGuestSchema({ type: 'array', uniqueItems: true });
    expect(check([1, '1', true, 'true', null, {}, [], '{}', { a: 1, b: 2 }, { a: 1 }])).toBe(true);
    expect(
      check([
        { a: 1, b: { c: 1, d: 2 } },
        { b: { d: 2, c: 1 }, a: 1 },
      ]),
    ).toBe(false);
    expect(errors([1, 1])).toEqual([{ pointer: '', message: 'must not have duplicate items' }]);
  });
});

describe('references', () => {
  const Tree = Type.Cyclic(
    { Node: Type.Object({ v: Type.Number({ default: 1 }), next: Type.Optional(Type.Ref('Node')) }) },
    'Node',
  );

  it('lead to the schema’s own definitions, at the top and inside', () => {
    for (const [schema, wrap] of [
      [Tree, (value: unknown) => value],
      [Type.Object({ tree: Tree, again: Type.Optional(Tree) }), (value: unknown) => ({ tree: value, again: value })],
    ] as const) {
      const { check, errors } = compileGuestSchema(plain(schema));
      expect(check(wrap({ v: 1, next: { v: 2 } }))).toBe(true);
      expect(check(wrap({ v: 1, next: { v: 'x' } }))).toBe(false);
      expect(errors(wrap({ v: 1, next: { v: 'x' } }))[0]?.pointer).toMatch(/\/next\/v$/);
    }
  });

  it('are plain JSON pointers to the top afterwards', () => {
    const { schema } = compileGuestSchema(plain(Type.Object({ a: Tree, b: Tree })));
    const refs = [...JSON.stringify(schema).matchAll(/"\$ref":"([^"]+)"/g)].map(([, ref]) => ref);
    expect(new Set(refs)).toEqual(new Set(['#/$defs/Node', '#/$defs/Node_2']));
    expect(Object.keys(schema.$defs as object)).toEqual(['Node', 'Node_2']);
  });

  it('may lead to the schema itself', () => {
    const { check } = compileGuestSchema({
      type: 'object',
      properties: { v: { type: 'number' }, next: { $ref: '#' } },
    });
    expect([check({ v: 1, next: { v: 2 } }), check({ next: { next: { v: 'x' } } })]).toEqual([true, false]);
  });

  it.each([
    ['of another document', { $ref: 'https://example.com/schema' }],
    ['of a file', { $ref: 'file:///etc/passwd' }],
    ['that lead nowhere', { $ref: '#/$defs/none' }],
    ['to somewhere else than $defs', { properties: { a: { $ref: '#/properties/b' }, b: {} } }],
    ['to the prototype', { $ref: '#/$defs/__proto__', $defs: {} }],
    ['that are no text', { $ref: {} }],
    ['in a circle', { $ref: '#/$defs/A', $defs: { A: { allOf: [{ $ref: '#/$defs/B' }] }, B: { $ref: '#/$defs/A' } } }],
  ])('%s are refused', (_, schema) => {
    expect(refusal(schema)).not.toBe('accepted');
  });
});

describe('untrusted schemas', () => {
  const HOSTILE_TEXTS = [
    "a'];process.exit()//",
    'a"];process.exit()//',
    '\\"];process.exit()//',
    "\\'];process.exit()//",
    '`$\u007bprocess.exit()}`',
    '\u2028process.exit()//',
    '*/process.exit()/*',
    '\n;process.exit()//',
    '"+process.exit()+"',
  ];

  it.each(HOSTILE_TEXTS)('can’t bring in code by %j', (text) => {
    const schemas: JsonSchema[] = [
      { type: 'object', properties: { [text]: { type: 'number' } }, required: [text], additionalProperties: false },
      { const: text }, { const: { [text]: text } }, { enum: [text] }, { type: 'object', required: [text] },
      { type: 'object', patternProperties: { '^a': { const: text } } }, { title: text, description: text, default: text, type: 'string' },
      { anyOf: [{ const: text }, { properties: { [text]: { const: text } } }] },
    ]; // biome-ignore format: a list
    for (const schema of schemas) {
      const { check, errors, parse } = compileGuestSchema(schema, { coerce: true, defaults: true });
      for (const value of [text, { [text]: 1 }, { [text]: text }, {}, 1]) {
        check(parse(value));
        errors(value);
      }
    }
    expect(compileGuestSchema({ const: text }).check(text)).toBe(true);
    expect(
      compileGuestSchema({ type: 'object', properties: { [text]: { type: 'number' } } }).check({ [text]: 'x' }),
    ).toBe(false);
  });

  it('can’t bring in code by any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (text === '__proto__' || text === 'constructor') return;
        const { check } = compileGuestSchema({
          type: 'object',
          properties: { [text]: { const: text } },
          required: [text],
        });
        expect(check({ [text]: text })).toBe(true);
        expect(check({ [text]: `${text}x` })).toBe(false);
        expect(check({})).toBe(false);
      }),
    );
  });

  it('keep nothing but known keywords with values of the right type', () => {
    const { schema } = compileGuestSchema({
      type: 'string', $id: 'x', '~refine': [{ check: 'x' }], '~kind': 'x', $dynamicRef: '#x', 'x-y': 1, unevaluatedProperties: false,
    }); // biome-ignore format: a schema
    expect(schema).toEqual({ type: 'string' });
    for (const [keyword, value] of Object.entries({
      type: 'function', minLength: '1);process.exit(', maximum: {}, required: [{}], properties: [], pattern: {}, enum: 'x',
      anyOf: [], items: 'x', uniqueItems: 'x', format: 'regex', title: {}, multipleOf: null, maxItems: -1, minItems: 1.5, $defs: [],
    })) {
      expect(refusal({ [keyword]: value }), keyword).toContain('unacceptable');
    } // biome-ignore format: a list
    for (const schema of [null, 1, 'x', []]) expect(refusal(schema)).toContain('expected a schema object');
  });

  it('can’t name the prototype', () => {
    for (const keyword of ['properties', 'patternProperties', '$defs']) {
      for (const name of ['__proto__', 'constructor']) {
        expect(refusal(JSON.parse(`{"${keyword}":{"${name}":{"type":"string"}}}`)), `${keyword} ${name}`).not.toBe(
          'accepted',
        );
      }
    }
    const { check } = compileGuestSchema({ type: 'object', required: ['constructor', 'toString'] });
    expect(check({})).toBe(false);
    const closed = compileGuestSchema({ type: 'object', additionalProperties: false });
    expect(closed.check(JSON.parse('{"__proto__":{"x":1}}'))).toBe(false);
  });

  it('are limited in depth and size', () => {
    expect(refusal(nest('items', 20_000, {}))).toContain('too deep or too large');
    const wide = Object.fromEntries(Array.from({ length: 6_000 }, (_, at) => [`p${at}`, {}]));
    expect(refusal({ properties: wide })).toContain('too deep or too large');
    expect(refusal({ const: nest('a', 20_000, 1) })).toContain('expected a JSON value');
    expect(refusal({ default: nest('a', 20_000, 1) })).toContain('expected a JSON value');
    expect(refusal({ enum: ['x'.repeat(300_000)] })).toContain('characters');
    expect(refusal({ anyOf: Array.from({ length: 300 }, () => ({ description: 'x'.repeat(1_000) })) })).toContain(
      'characters',
    );
  });

  it.each(['(?=a)', '(a)\\1', '(?<!a)b', '('])('can’t use the pattern %s', (pattern) => {
    expect(refusal({ pattern })).toContain('does not run in linear time');
    expect(refusal({ patternProperties: { [pattern]: {} } })).toContain('does not run in linear time');
  });
});

/* These would hang for minutes, or for ever, where the work is not bounded: the suite's own timeout is the assertion. */
describe('values made to be slow', () => {
  it('do not make patterns backtrack', () => {
    const { check } = compileGuestSchema({ type: 'string', pattern: '^(a+)+$' });
    expect(check(`${'a'.repeat(50_000)}b`)).toBe(false);
    const keys = compileGuestSchema({
      type: 'object',
      patternProperties: { '^(a+)+$': {} },
      additionalProperties: false,
    });
    expect(keys.check({ [`${'a'.repeat(50_000)}b`]: 1 })).toBe(false);
  });

  it('do not make large patterns and long texts multiply', () => {
    const { check, errors } = compileGuestSchema({ type: 'string', pattern: '(?:[ab]?){400}[cd]$' });
    expect(check(`${'ab'.repeat(100)}c`)).toBe(true);
    expect(check('ab'.repeat(500_000))).toBe(false);
    expect(errors('ab'.repeat(500_000))).toEqual([{ pointer: '', message: 'takes too long to check' }]);
    const short = compileGuestSchema({ type: 'string', pattern: '^[a-z]+$' });
    expect(short.check('a'.repeat(1_000_000))).toBe(true);
  });

  it('do not make formats backtrack', () => {
    for (const format of ['date-time', 'email', 'hostname', 'ipv6', 'uri', 'url', 'uuid']) {
      const { check } = compileGuestSchema({ type: 'string', format });
      for (const part of ['a', '1', 'a.', 'a-', 'a@', '%41', '::', '1:', ' '])
        for (const text of [part.repeat(20_000), `http://${part.repeat(20_000)}\n`, `a@${part.repeat(20_000)}!`])
          check(text);
    }
  });

  it('do not make definitions multiply', () => {
    const twice = (key: (of: object) => object) => {
      const $defs: Record<string, object> = { A60: { type: 'number' } };
      for (let n = 0; n < 60; n++) $defs[`A${n}`] = key({ $ref: `#/$defs/A${n + 1}` });
      return compileGuestSchema({ $defs, $ref: '#/$defs/A0' });
    };
    const both = twice((ref) => ({ allOf: [ref, { ...ref }] }));
    expect(both.check(1)).toBe(false);
    expect(both.errors(1)).toEqual([{ pointer: '', message: 'takes too long to check' }]);
    expect(twice((ref) => ({ anyOf: [ref, { ...ref }] })).check('x')).toBe(false);
    const deep = compileGuestSchema({
      $defs: { A: { properties: { a: { allOf: [{ $ref: '#/$defs/A' }, { $ref: '#/$defs/A' }] } } } },
      $ref: '#/$defs/A',
    });
    expect(deep.check(nest('a', 60, 1))).toBe(false);
  });

  it('do not make large item schemas multiply', () => {
    const anyOf = Array.from({ length: 500 }, (_, at) => ({ const: `c${at}` }));
    const { check } = compileGuestSchema({ type: 'array', items: { anyOf } });
    expect(check(Array(1_000).fill('c499'))).toBe(true);
    expect(check(Array(500_000).fill('c499'))).toBe(false);
  });

  it('do not make lists of duplicates or of errors grow', () => {
    const { check, errors } = compileGuestSchema({ type: 'array', uniqueItems: true });
    expect(check(Array(500_000).fill(1))).toBe(false);
    expect(errors(Array(500_000).fill(1))).toHaveLength(1);
    expect(compileGuestSchema({ items: { type: 'string' } }).errors(Array(300_000).fill(1))).toHaveLength(20);
    const extra = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`k${at}`, 1]));
    expect(compileGuestSchema({ additionalProperties: false }).errors(extra)[0]?.message).toBe('is not known');
  });

  it('do not overflow the stack', () => {
    const { check, errors, parse } = compileGuestSchema(
      { type: 'object', properties: { a: { $ref: '#' }, b: { default: 1 } } },
      { defaults: true },
    );
    const deep = nest('a', 50_000, {});
    expect(check(deep)).toBe(false);
    expect(errors(deep)).toEqual([{ pointer: '', message: 'is nested too deeply' }]);
    expect(() => parse(deep)).toThrow(expect.objectContaining({ code: 'VALIDATION_FAILED' }));
  });
});

describe('errors', () => {
  const errorsOf = (schema: object, value: unknown) => compileGuestSchema(plain(schema)).errors(value);

  it('name each place once', () => {
    const schema = Type.Object({ a: Type.String(), b: Type.Number() }, { additionalProperties: false });
    expect(errorsOf(schema, { a: 1, c: 2, 'd/e': 3 })).toEqual(
      expect.arrayContaining([
        { pointer: '/a', message: 'must be string' },
        { pointer: '/b', message: 'is required' },
        { pointer: '/c', message: 'is not known' },
        { pointer: '/d~1e', message: 'is not known' },
      ]),
    );
    expect(errorsOf(schema, { a: 1, c: 2, 'd/e': 3 })).toHaveLength(4);
  });

  it('say of unions what is allowed, not how each form failed', () => {
    const level = Type.Object({ level: Type.Union(['debug', 'info'].map((name) => Type.Literal(name))) });
    expect(errorsOf(level, { level: 'x' })).toEqual([{ pointer: '/level', message: 'must be one of "debug", "info"' }]);
    const many = Type.Union(Array.from({ length: 12 }, (_, at) => Type.Object({ type: Type.Literal(`t${at}`) })));
    expect(errorsOf(Type.Object({ item: many }), { item: { type: 'x' } })).toEqual([
      { pointer: '/item', message: 'matches none of the allowed forms' },
    ]);
  });

  it('are never empty for a value that fails', () => {
    const value = fc.jsonValue();
    const schemas = [
      plain(Type.Union([Type.Object({ a: Type.String() }, { additionalProperties: false }), Type.Array(Type.Number())])),
      { not: {} }, { if: { type: 'string' }, else: { not: {} } }, { oneOf: [{ type: 'number' }, { type: 'integer' }] },
    ]; // biome-ignore format: a list
    for (const schema of schemas) {
      const { check, errors } = compileGuestSchema(schema);
      fc.assert(fc.property(value, (given) => check(given) || errors(given).length > 0));
    }
  });
});

describe('parse', () => {
  const parse = (schema: object, value: unknown) =>
    compileGuestSchema(plain(schema), { coerce: true, defaults: true }).parse(value);

  it('turns texts into what the schema wants', () => {
    const schema = Type.Object({
      n: Type.Number(),
      i: Type.Integer(),
      on: Type.Boolean(),
      list: Type.Array(Type.Integer()),
      text: Type.String(),
    });
    expect(parse(schema, { n: '-1.5e2', i: '7', on: 'true', list: '3', text: '5' })).toEqual({
      n: -150,
      i: 7,
      on: true,
      list: [3],
      text: '5',
    });
    expect(parse(schema, { list: ['1', '2'], on: 'false' })).toEqual({ list: [1, 2], on: false });
  });

  it('leaves alone what does not convert', () => {
    const schema = Type.Object({ n: Type.Number(), on: Type.Boolean() });
    for (const n of ['', ' ', '0x10', 'NaN', 'Infinity', '1 ', '1n', '--1'])
      expect(parse(schema, { n, on: '1' })).toEqual({ n, on: '1' });
  });

  it('reaches into unions, intersections, records and references', () => {
    expect(parse(Type.Object({ a: Type.Union([Type.Number(), Type.Null()]) }), { a: '1' })).toEqual({ a: 1 });
    expect(parse(Type.Object({ a: Type.Union([Type.Number(), Type.String()]) }), { a: '1' })).toEqual({ a: '1' });
    expect(
      parse(Type.Intersect([Type.Object({ a: Type.Number() }), Type.Object({ b: Type.Boolean() })]), {
        a: '1',
        b: 'true',
      }),
    ).toEqual({ a: 1, b: true });
    expect(parse(Type.Record(Type.String(), Type.Number()), { a: '1' })).toEqual({ a: 1 });
    expect(parse({ properties: { a: { $ref: '#/$defs/N' } }, $defs: { N: { type: 'number' } } }, { a: '1' })).toEqual({
      a: 1,
    });
  });

  it('fills defaults in, each time anew, and tells when nothing changed', () => {
    const schema = plain(
      Type.Object({
        a: Type.Optional(Type.Array(Type.Number(), { default: [1] })),
        list: Type.Optional(Type.Array(Type.Object({ b: Type.Number({ default: 2 }) }))),
      }),
    );
    const { parse, hasDefaults } = compileGuestSchema(schema, { defaults: true });
    expect(hasDefaults).toBe(true);
    const first = parse({}) as { a: number[] };
    first.a.push(2);
    expect(parse({ list: [{}, { b: 3 }] })).toEqual({ a: [1], list: [{ b: 2 }, { b: 3 }] });
    const whole = { a: [], list: [{ b: 1 }] };
    expect(parse(whole)).toBe(whole);
    expect(compileGuestSchema(schema).hasDefaults).toBe(false);
  });

  it('does not touch prototypes', () => {
    const value = JSON.parse('{"__proto__":"1","a":"2"}') as unknown;
    const parsed = parse(Type.Record(Type.String(), Type.Number()), value) as object;
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
    expect(Object.keys(parsed)).toEqual(['__proto__', 'a']);
  });
});
