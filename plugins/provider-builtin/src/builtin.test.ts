import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import Schema from 'typebox/schema';
import { describe, expect, it } from 'vitest';
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
