import type { ChatChunk } from '@atoll/plugin-sdk/services/llm-provider';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newResponse, type ResponseObject } from './response.js';
import { ResponseWriter } from './writer.js';

function write(chunks: ChatChunk[]) {
  const writer = new ResponseWriter(newResponse({ input: 'Hi' }, 'm'));
  return [...writer.begin(), ...chunks.flatMap((chunk) => writer.add(chunk)), ...writer.end()];
}

const chunk: fc.Arbitrary<ChatChunk> = fc.oneof(
  fc.record({ content: fc.string({ minLength: 1 }) }),
  fc.record({ thinking: fc.string({ minLength: 1 }) }),
  fc.nat(2).map((index) => ({ toolCalls: [{ index, id: `call_${index}`, name: 'f', arguments: '{' }] })),
);

describe('the events of a response', () => {
  it('are numbered, open and close each item once, and end with the whole', () => {
    fc.assert(
      fc.property(fc.array(chunk), (chunks) => {
        const events = write([...chunks, { finishReason: 'stop' }]);
        expect(events.map((event) => event.sequence_number)).toEqual(events.map((_, index) => index));
        const opened = events
          .filter(({ type }) => type === 'response.output_item.added')
          .map(({ item }) => (item as { id: string }).id);
        const closed = events
          .filter(({ type }) => type === 'response.output_item.done')
          .map(({ item }) => (item as { id: string }).id);
        expect(new Set(closed)).toEqual(new Set(opened));
        expect(closed).toHaveLength(opened.length);
        const last = events.at(-1)!;
        expect(last.type).toBe('response.completed');
        expect((last.response as ResponseObject).output.map(({ id }) => id)).toEqual(opened);
        const said = events.filter(({ type }) => type === 'response.output_text.delta').map(({ delta }) => delta);
        expect(said.join('')).toBe(chunks.map(({ content = '' }) => content).join(''));
      }),
    );
  });

  it('announce each part before its pieces, reasoning too', () => {
    const types = write([{ thinking: 'hm' }, { thinking: '!' }, { content: 'yes' }, { finishReason: 'stop' }])
      .map(({ type }) => type.replace('response.', ''))
      .filter((type) => /part|_text/.test(type));
    expect(types).toEqual([
      ...[
        'content_part.added',
        'reasoning_text.delta',
        'reasoning_text.delta',
        'reasoning_text.done',
        'content_part.done',
      ],
      ...['content_part.added', 'output_text.delta', 'output_text.done', 'content_part.done'],
    ]);
  });

  it('say when the answer was cut by the limit', () => {
    const last = write([{ content: 'a' }, { finishReason: 'length' }]).at(-1);
    expect(last).toMatchObject({
      type: 'response.incomplete',
      response: { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } },
    });
  });
});
