import { describe, expect, it } from 'vitest';
import { ToolCallReader, toCalls } from './tool-calls.js';

type Raw = Record<string, unknown>;

/** The calls that a client puts together from what goes on. */
function read(...steps: Raw[][]) {
  const reader = new ToolCallReader();
  const calls: { id: string | undefined; name: string | undefined; arguments: string }[] = [];
  for (const { index, id, name, arguments: text = '' } of steps.flatMap((pieces) => reader.read(pieces))) {
    calls[index] ??= { id, name, arguments: '' };
    calls[index].arguments += text;
  }
  reader.assertNamed();
  return calls;
}

const piece = (more: Raw, name?: string, text?: unknown): Raw => ({ ...more, function: { name, arguments: text } });
const both = [
  { id: 'a', name: 'f', arguments: '{"x":1}' },
  { id: 'b', name: 'g', arguments: '{}' },
];

describe('the pieces of tool calls', () => {
  it.each<[string, Raw[][]]>([
    [
      'as they should be',
      [
        [piece({ index: 0, id: 'a' }, 'f', '')],
        [piece({ index: 0 }, undefined, '{"x"')],
        [piece({ index: 0 }, undefined, ':1}')],
        [piece({ index: 1, id: 'b' }, 'g', '{}')],
      ],
    ],
    [
      'interleaved',
      [
        [piece({ index: 0, id: 'a' }, 'f', '{"x"'), piece({ index: 1, id: 'b' }, 'g', '{')],
        [piece({ index: 1 }, undefined, '}'), piece({ index: 0 }, undefined, ':1}')],
      ],
    ],
    [
      'without an index',
      [[piece({ id: 'a' }, 'f', '{"x"')], [piece({}, undefined, ':1}')], [piece({ id: 'b' }, 'g', '{}')]],
    ],
    [
      'with a null for the index',
      [[piece({ index: null, id: 'a' }, 'f', '{"x":1}'), piece({ index: null, id: 'b' }, 'g', '{}')]],
    ],
    [
      'under the same index',
      [[piece({ index: 0, id: 'a' }, 'f', '{"x":1}')], [piece({ index: 0, id: 'b' }, 'g', '{}')]],
    ],
    [
      'with the name and id in each piece',
      [
        [piece({ index: 0, id: 'a' }, 'f', '{"x"')],
        [piece({ index: 0, id: 'a' }, 'f', ':1}')],
        [piece({ index: 1, id: 'b' }, 'g', '{}')],
      ],
    ],
    [
      'with the name in a later piece',
      [
        [piece({ index: 0, id: 'a' }, undefined, '{"x"')],
        [piece({ index: 0 }, 'f', ':1}')],
        [piece({ index: 1, id: 'b' }, '', '')],
        [piece({ index: 1 }, 'g', '{}')],
      ],
    ],
    [
      'with arguments as objects',
      [[piece({ index: 0, id: 'a' }, 'f', { x: 1 }), piece({ index: 1, id: 'b' }, 'g', {})]],
    ],
  ])('%s are put together', (_, steps) => {
    expect(read(...steps)).toEqual(both);
  });

  it('get an id when there is none, or one that comes late', () => {
    const calls = read([piece({ index: 0 }, 'f', '{}')], [piece({}, 'g', '{}')], [{ index: 1, id: null }]);
    expect(calls.map(({ id }) => id)).toEqual([expect.stringMatching(/^call_/), expect.stringMatching(/^call_/)]);
    expect(calls.map(({ name }) => name)).toEqual(['f', 'g']);
    expect(toCalls([piece({}, 'f', null)])).toEqual([
      { id: expect.stringMatching(/^call_/) as string, name: 'f', arguments: '{}' },
    ]);
  });

  it('without any name are nonsense', () => {
    expect(() => read([piece({ index: 0, id: 'a' }, undefined, '{}')])).toThrow(/without a name/);
    expect(() => toCalls([null])).toThrow(/without a name/);
  });

  it('may be no list at all', () => {
    expect(read()).toEqual([]);
    expect(toCalls(null)).toEqual([]);
    expect(toCalls({})).toEqual([]);
  });
});
