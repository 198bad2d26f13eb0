import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import Schema from 'typebox/schema';
import { describe, expect, it } from 'vitest';
import { startPluginHost } from '../../../test/standins/plugin-host.js';
import builtin from './index.js';
import { chat, chatStream } from './chat.js';
import { embed } from './embedding.js';
import { Evidence } from './evidence.js';
import { makeValue } from './generate.js';
import { sentencesOf } from './sentences.js';
import { tokenize } from './tokenizer.js';

const user = (content: string) => ({ model: 'extractive', messages: [{ role: 'user' as const, content }] });
const cosine = (a: number[], b: number[]) => a.reduce((sum, value, index) => sum + value * b[index]!, 0);

describe('tokenizer', () => {
  it('loses nothing', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme' }), (text) => tokenize(text).join('') === text));
  });
});

describe('embeddings', () => {
  it('are deterministic, of length 1 and of the asked size', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 512 }), (text, dimensions) => {
        const vector = embed(text, dimensions);
        expect(vector).toHaveLength(dimensions);
        expect(Math.hypot(...vector)).toBeCloseTo(1, 6);
        expect(embed(text, dimensions)).toEqual(vector);
      }),
    );
  });

  it('stay the same from version to version', () => {
    expect(embed('coral reef', 8).map((value) => Number(value.toFixed(4)))).toMatchInlineSnapshot(`
      [
        -0.3681,
        0.3681,
        0,
        0.3681,
        -0.2665,
        0,
        0.6222,
        -0.3681,
      ]
    `);
  });

  it('put texts with the same wording near each other', () => {
    const query = embed('how do coral reefs grow');
    const near = cosine(query, embed('A coral reef grows slowly, a centimetre a year.'));
    const far = cosine(query, embed('The invoice is payable within thirty days.'));
    expect(near).toBeGreaterThan(far + 0.2);
  });
});

describe('extractive chat', () => {
  const context = 'Paris is the capital of France. Berlin is the capital of Germany. Bread is baked from flour.';

  it('quotes the sentence that answers', () => {
    expect(chat(user(`${context}\nWhat is the capital of Germany?`)).message.content).toContain(
      'Berlin is the capital',
    );
  });

  it('quotes from system and tool messages', () => {
    const messages = [
      { role: 'system' as const, content: context },
      { role: 'user' as const, content: 'What is bread baked from?' },
    ];
    expect(chat({ model: 'extractive', messages }).message.content).toBe('Bread is baked from flour.');
  });

  it('never answers with nothing, and streams what it would answer', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const whole = chat(user(text));
        expect(whole.message.content).not.toBe('');
        const chunks = [...chatStream(user(text))];
        expect(chunks.map(({ content }) => content ?? '').join('')).toBe(whole.message.content);
        expect(chunks.at(-1)).toEqual({ finishReason: 'stop', usage: whole.usage });
      }),
    );
  });

  it('honours stop and max_tokens', () => {
    const input = user(`${context} What is the capital of Germany?`);
    expect(chat({ ...input, stop: [' capital'] }).message.content.endsWith(' the')).toBe(true);
    const short = chat({ ...input, maxTokens: 2 });
    expect(short.finishReason).toBe('length');
    expect(short.usage?.completionTokens).toBe(2);
  });

  it('refuses what it cannot do', () => {
    expect(() => chat({ ...user('hi'), logprobs: true })).toThrow(/logprobs/);
    expect(() => chat({ ...user('hi'), model: 'gpt' })).toThrow(/no chat model/);
  });
});

describe('tools', () => {
  const weather = {
    name: 'get_weather',
    description: 'Get the current weather in a city',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { type: 'string', enum: ['celsius', 'fahrenheit'] },
        days: { type: 'integer', minimum: 1 },
      },
      required: ['city'],
    },
  };
  const mail = { name: 'send_mail', description: 'Sends a letter', parameters: { type: 'object', properties: {} } };

  it('are called when the wording matches', () => {
    const { message, finishReason } = chat({
      ...user('What is the weather in Paris in celsius?'),
      tools: [mail, weather],
    });
    expect(finishReason).toBe('tool_calls');
    expect(message.toolCalls?.[0]?.name).toBe('get_weather');
    expect(JSON.parse(message.toolCalls?.[0]?.arguments ?? '')).toEqual({ city: 'Paris', unit: 'celsius' });
  });

  it('are called when required or named, and not otherwise', () => {
    expect(chat({ ...user('Hi'), tools: [weather] }).message.toolCalls).toBeUndefined();
    expect(chat({ ...user('Hi'), tools: [weather], toolChoice: 'required' }).message.toolCalls).toHaveLength(1);
    expect(
      chat({ ...user('Hi'), tools: [weather, mail], toolChoice: { name: 'send_mail' } }).message.toolCalls?.[0]?.name,
    ).toBe('send_mail');
    expect(chat({ ...user('the weather?'), tools: [weather], toolChoice: 'none' }).message.toolCalls).toBeUndefined();
  });

  it('are not called again for a result that came in', () => {
    const messages = [
      { role: 'user' as const, content: 'What is the weather in Paris?' },
      { role: 'assistant' as const, content: '', toolCalls: [{ id: '1', name: 'get_weather', arguments: '{}' }] },
      { role: 'tool' as const, content: 'The weather in Paris is sunny.', toolCallId: '1' },
    ];
    expect(chat({ model: 'extractive', messages, tools: [weather] }).message.content).toBe(
      'The weather in Paris is sunny.',
    );
  });
});

describe('JSON', () => {
  const leaf = fc.oneof(
    fc.record({
      type: fc.constant('integer'),
      minimum: fc.integer({ min: -50, max: 5 }),
      maximum: fc.integer({ min: 6, max: 90 }),
    }),
    fc.record({
      type: fc.constant('number'),
      exclusiveMinimum: fc.integer({ min: -50, max: 5 }),
      maximum: fc.integer({ min: 6, max: 90 }),
    }),
    fc.record({ type: fc.constant('integer'), multipleOf: fc.integer({ min: 1, max: 9 }) }),
    fc.record({ type: fc.constant('string'), minLength: fc.nat(5), maxLength: fc.integer({ min: 5, max: 30 }) }),
    fc.record({ type: fc.constant('string'), format: fc.constantFrom('date', 'email', 'uuid', 'date-time') }),
    fc.record({ enum: fc.array(fc.oneof(fc.string(), fc.integer()), { minLength: 1, maxLength: 4 }) }),
    fc.constantFrom<Record<string, unknown>>(
      { type: 'boolean' },
      { type: 'null' },
      { type: ['string', 'null'] },
      { const: 7 },
    ),
  );
  const { schema } = fc.letrec<{ schema: Record<string, unknown> }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf as fc.Arbitrary<Record<string, unknown>>,
      fc.record({ type: fc.constant('array'), items: tie('schema'), minItems: fc.nat(3) }),
      fc.record({ anyOf: fc.array(tie('schema'), { minLength: 1, maxLength: 3 }) }),
      fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), tie('schema'), { maxKeys: 4 }).map((properties) => ({
        type: 'object',
        properties,
        required: Object.keys(properties),
        additionalProperties: false,
      })),
    ),
  }));

  it('conforms to the schema, whatever the text says', () => {
    fc.assert(
      fc.property(schema, fc.lorem({ mode: 'sentences' }), fc.integer(), (schema, text, number) => {
        const evidence = new Evidence(`${text} ${number}, answer: yes`);
        const value: unknown = JSON.parse(
          JSON.stringify(makeValue(schema, { root: schema, evidence, optional: 'all' })),
        );
        expect(Schema.Check(schema, value), JSON.stringify({ schema, value })).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it('follows references, recursive ones too', () => {
    const schema = {
      $defs: {
        node: {
          type: 'object',
          properties: { name: { type: 'string' }, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
          required: ['name', 'next'],
        },
      },
      $ref: '#/$defs/node',
    };
    const value = makeValue(schema, { root: schema, evidence: new Evidence('hello'), optional: 'all' });
    expect(Schema.Check(schema, value)).toBe(true);
  });

  it('fills fields from the text', () => {
    const responseFormat = {
      type: 'json_schema' as const,
      schema: {
        type: 'object',
        properties: { city: { type: 'string' }, population: { type: 'integer' }, answer: { type: 'string' } },
        required: ['city', 'population', 'answer'],
      },
    };
    const { message } = chat({
      ...user('city: Lyon, population: 522250. Lyon is a city in France. Where is Lyon?'),
      responseFormat,
    });
    expect(JSON.parse(message.content)).toMatchObject({ city: 'Lyon', population: 522250 });
  });
});

describe('limits', () => {
  const document = (schema: Record<string, unknown>, text = 'Paris is a city. Where is Paris?') =>
    chat({ ...user(text), responseFormat: { type: 'json_schema', schema } });
  const fields = (count: number, field: object = { type: 'string' }) => {
    const names = Array.from({ length: count }, (_, at) => `p${at}`);
    return { type: 'object', properties: Object.fromEntries(names.map((name) => [name, field])), required: names };
  };
  const doubled = (keyword: 'allOf' | 'anyOf', last: object) => {
    const $defs: Record<string, object> = { d40: last };
    for (let at = 0; at < 40; at++) {
      const next = { $ref: `#/$defs/d${at + 1}` };
      $defs[`d${at}`] = { [keyword]: [next, next] };
    }
    return { $defs, $ref: '#/$defs/d0' };
  };
  const tooLong = expect.objectContaining({ code: 'CONTEXT_TOO_LONG' });

  it('of a prompt are clear', () => {
    expect(() => chat(user('Paris is a city. '.repeat(20_000)))).toThrow(tooLong);
    const tool = { name: 'f', description: 'x'.repeat(200_000) };
    expect(() => chat({ ...user('Hi'), tools: [tool] })).toThrow(tooLong);
    expect(chat(user('Paris is a city. '.repeat(10_000))).message.content).toContain('Paris');
  });

  it.each([
    ['items', { type: 'array', items: { type: 'string' }, minItems: 1e9 }],
    [
      'lists of lists',
      { type: 'array', minItems: 1e3, items: { type: 'array', minItems: 1e3, items: { type: 'null' } } },
    ],
    ['different items', { type: 'array', items: { type: 'integer' }, minItems: 1e9, uniqueItems: true }],
    ['characters', { type: 'string', minLength: 1e9 }],
    ['copies of a value', { type: 'array', items: { const: 'x'.repeat(10_000) }, minItems: 5_000 }],
    ['fields', { type: 'object', required: Array.from({ length: 15_000 }, (_, at) => `p${at}`) }],
    ['parts', doubled('allOf', {})],
    ['alternatives', doubled('anyOf', { enum: [] })],
    ['ways to match', { type: 'string', pattern: '^(a+)+$' }],
    ['ways to match, with a choice', { type: 'string', pattern: '^(a|aa)*$' }],
    ['repetitions', { type: 'string', pattern: '^a*a*a*a*a*$' }],
  ])('of a document are kept: %s', (_, schema) => {
    const refused = expect.objectContaining({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('JSON schema') as string,
    });
    expect(() => document(schema, `${'a'.repeat(60)}! ${'word '.repeat(1_000)}`)).toThrow(refused);
  });

  it('of many fields and a long text are kept together', () => {
    expect(() =>
      document(fields(500), Array.from({ length: 6_000 }, (_, at) => `sentence ${at} says little.`).join(' ')),
    ).toThrow(/too many fields/);
    expect(Object.keys(JSON.parse(document(fields(500)).message.content) as object)).toHaveLength(500);
  });

  it('of texts to embed are clear', async () => {
    const { service, stop } = await startPluginHost([{ id: 'provider-builtin', definition: builtin as never }]);
    const embed = (input: string[], dimensions?: number) =>
      service('llm-provider').embed!({ model: 'lexical', input, dimensions });
    await expect(embed(['x'.repeat(200_001)])).rejects.toThrow(tooLong);
    await expect(embed(Array.from({ length: 2_000 }, () => 'x'.repeat(1_500)))).rejects.toThrow(tooLong);
    await expect(
      embed(
        Array.from({ length: 2_000 }, () => 'x'),
        4_096,
      ),
    ).rejects.toThrow(/fewer texts/);
    await stop();
  });

  it.each([
    ['spaces at the end', `Hi${' '.repeat(190_000)}`],
    ['dots', `${'.'.repeat(190_000)}x`],
    ['quotation marks', '“'.repeat(190_000)],
    ['the letters of a name', 'a'.repeat(190_000)],
  ])('need no time for %s', (_, text) => {
    const parameters = { type: 'object', properties: { aAaAaAaA: { type: 'string' }, b: { type: 'number' } } };
    const input = { ...user(text), tools: [{ name: 'f', parameters }], toolChoice: 'required' as const };
    expect(chat(input).message.toolCalls).toHaveLength(1);
    expect(chat(user(text)).finishReason).toBe('stop');
  });

  it('are patterns that can be matched in reasonable time', () => {
    const code = { type: 'string', pattern: '^[A-Z]{2}-\\d+(-[0-9a-f]{4}){2}$' };
    const { message } = document(
      { type: 'object', properties: { code }, required: ['code'] },
      'It is AB-12-00ff-a1b2, I think.',
    );
    expect(JSON.parse(message.content)).toEqual({ code: 'AB-12-00ff-a1b2' });
  });
});

describe('odd schemas', () => {
  const document = (schema: unknown) => () =>
    chat({ ...user('Hi'), responseFormat: { type: 'json_schema', schema: schema as Record<string, unknown> } });

  it.each([
    ['a part that allows nothing', { properties: { a: false }, required: ['a'] }, /allows no value/],
    ['an empty enum', { properties: { a: { enum: [] } }, required: ['a'] }, /enum without any value/],
    ['a list that is none', { type: 'object', required: 5 }, /"required" has to be a list/],
    ['fields that are none', { type: 'object', properties: 5 }, /"properties" has to be an object/],
    ['items that are none', { type: 'array', items: 5, minItems: 2 }, /5 is not a schema/],
    ['a pattern that is none', { type: 'string', pattern: '(' }, /Invalid regular expression/],
    ['steps of nothing', { type: 'number', multipleOf: 0 }, /no number fits/],
  ])('are refused in words: %s', (_, schema, words) => {
    expect(document(schema)).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringMatching(words) as string }),
    );
  });

  it('may have parts that are just true or false', () => {
    const schema = { type: 'object', properties: { a: true, b: false, c: { anyOf: [false, { const: 1 }] } } };
    expect(JSON.parse(document(schema)().message.content)).toMatchObject({ c: 1 });
  });
});

describe('sentences', () => {
  it('end at punctuation and lines', () => {
    expect(sentencesOf('One. Two! "Three?"\nFour v1.2 is out')).toEqual([
      'One.',
      'Two!',
      '"Three?"',
      'Four v1.2 is out',
    ]);
  });
});

describe('package', () => {
  it('asks for no network', () => {
    const manifest = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
      atoll: { permissions: object };
    };
    expect(manifest.atoll.permissions).toEqual({});
  });
});
