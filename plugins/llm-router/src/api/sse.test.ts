import { describe, expect, it } from 'vitest';
import { toErrorObject } from './problem.js';
import { sseEvent, sseResponse } from './sse.js';

const onError = (error: unknown) => sseEvent({ error: toErrorObject(error) });

describe('a stream of events', () => {
  it('that fails here, for whatever reason, ends with the error as OpenAI writes it', async () => {
    let ended = 0;
    async function* events() {
      yield sseEvent({ n: 1 });
      throw new TypeError('undefined is not a function');
    }
    const text = await sseResponse(events(), onError, () => ended++).text();
    const [first, last, rest] = text.split('\n\n').map((event) => event.replace('data: ', ''));
    expect(JSON.parse(first!)).toEqual({ n: 1 });
    expect(JSON.parse(last!)).toEqual({
      error: { message: 'undefined is not a function', type: 'server_error', param: null, code: 'INTERNAL' },
    });
    expect(rest).toBe('');
    expect(ended).toBe(1);
  });

  it('stops what makes it when nobody reads on', async () => {
    const seen: string[] = [];
    async function* events() {
      try {
        while (true) yield sseEvent({});
      } finally {
        seen.push('stopped');
      }
    }
    const reader = sseResponse(events(), onError, () => seen.push('ended')).body!.getReader();
    await reader.read();
    await reader.cancel();
    expect(seen.sort()).toEqual(['ended', 'stopped']);
  });
});
