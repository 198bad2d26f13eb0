import { describe, expect, it } from 'vitest';
import { ChunkReader, toOutput, toUsage } from './answer.js';
import { Connection } from './connection.js';
import { toVector } from './embeddings.js';
import { reportedError, statusError } from './errors.js';
import { toBody } from './request.js';

const input = { model: 'm', messages: [{ role: 'user' as const, content: 'Hi' }] };

describe('requests', () => {
  it('carry only what was asked', () => {
    expect(toBody(input, false)).toEqual({ model: 'm', messages: [{ role: 'user', content: 'Hi' }] });
  });

  it('name the token limit as the server knows it', () => {
    expect(toBody({ ...input, maxTokens: 5 }, true)).toMatchObject({ max_completion_tokens: 5 });
    expect(toBody({ ...input, maxTokens: 5 }, false)).toMatchObject({ max_tokens: 5 });
  });

  it('carry calls and their results', () => {
    const messages = [
      { role: 'assistant' as const, content: '', toolCalls: [{ id: 'c', name: 'f', arguments: '{}' }] },
      { role: 'tool' as const, content: 'r', toolCallId: 'c' },
    ];
    expect(toBody({ model: 'm', messages }, false).messages).toEqual([
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', content: 'r', tool_call_id: 'c' },
    ]);
  });
});

describe('answers', () => {
  it('without a message are nonsense', () => {
    expect(() => toOutput({ choices: [] }, 'm')).toThrow(/without a message/);
  });

  it('that say nothing give no chunk', () => {
    const reader = new ChunkReader();
    expect(
      reader.read({ choices: [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }] }),
    ).toBeUndefined();
    expect(reader.read({ choices: [] })).toBeUndefined();
    const nulls = { content: null, tool_calls: null, reasoning_content: null, refusal: null };
    expect(reader.read({ choices: [{ delta: nulls, logprobs: null }], usage: null })).toBeUndefined();
    expect(reader.read({ choices: [{ index: null, delta: null }, null] })).toBeUndefined();
  });

  it.each(['error', 'abort', 'cancelled'])('that finish with "%s" are none', (finish_reason) => {
    const choice = { message: { content: 'Half' }, delta: { content: 'Half' }, finish_reason };
    const given = expect.objectContaining({
      code: 'UPSTREAM_BAD_ANSWER',
      message: expect.stringContaining(finish_reason) as string,
    });
    expect(() => toOutput({ choices: [choice] }, 'm')).toThrow(given);
    expect(() => new ChunkReader().read({ choices: [choice] })).toThrow(given);
  });

  it('may come in parts', () => {
    const content = [
      { type: 'thinking', thinking: [{ type: 'text', text: 'hm' }] },
      { type: 'text', text: 'Hel' },
      { type: 'text', text: 'lo' },
    ];
    expect(toOutput({ choices: [{ message: { content } }] }, 'm').message).toMatchObject({
      content: 'Hello',
      thinking: 'hm',
    });
    expect(new ChunkReader().read({ choices: [{ delta: { content } }] })).toEqual({ content: 'Hello', thinking: 'hm' });
  });

  it('are not lost for what stands beside them', () => {
    const logprobs = { content: [{ token: 'x', logprob: null, bytes: null, top_logprobs: null }] };
    const message = { content: 'x', tool_calls: null, refusal: null, reasoning_content: null };
    const usage = { prompt_tokens: null, completion_tokens: null, total_tokens: null };
    const output = toOutput({ choices: [{ message, finish_reason: 'stop', logprobs }], usage }, 'm');
    expect(output).toEqual({
      model: 'm',
      message: { role: 'assistant', content: 'x' },
      finishReason: 'stop',
      logprobs: [{ token: 'x', logprob: -9999 }],
    });
    expect(toUsage({ prompt_tokens: 3.5, completion_tokens: -2, prompt_tokens_details: null })).toEqual({
      promptTokens: 4,
      completionTokens: 0,
      totalTokens: 4,
    });
  });
});

describe('errors', () => {
  const headers = new Headers({ 'retry-after': '3' });

  it.each([
    [400, { error: { message: 'bad', code: null } }, 'BAD_REQUEST', 400],
    [400, { error: { message: 'long', code: 'context_length_exceeded' } }, 'CONTEXT_TOO_LONG', 400],
    [401, { error: { message: 'key' } }, 'UPSTREAM_ERROR', 401],
    [404, { error: { message: 'none', code: 'model_not_found' } }, 'MODEL_NOT_FOUND', 404],
    [429, { error: { message: 'slow' } }, 'TOO_MANY_REQUESTS', 429],
    [500, { error: { message: 'oops' } }, 'UPSTREAM_ERROR', 502],
    [503, { error: 'busy' }, 'UPSTREAM_BUSY', 503],
    [422, { detail: 'FastAPI says no' }, 'UPSTREAM_ERROR', 422],
  ])('of status %i become the right ones', (status, body, code, expected) => {
    const error = statusError(status, JSON.stringify(body), headers);
    expect([error.code, error.status]).toEqual([code, expected]);
  });

  it('keep the time to wait', () => {
    expect(statusError(429, '{"error":{"message":"slow"}}', headers).extras.retryAfter).toBe(3);
  });

  it('that are web pages are nonsense, whatever the status', () => {
    expect(statusError(404, '<html>nginx</html>', headers).code).toBe('UPSTREAM_BAD_ANSWER');
  });

  it('in mid-stream keep their words', () => {
    expect(reportedError({ error: { message: 'overloaded', type: 'server_error' } }).message).toBe('overloaded');
    expect(reportedError({ error: 'plain text' }).message).toBe('plain text');
  });
});

describe('embeddings', () => {
  it('come as numbers or as base64', () => {
    expect(toVector([1, 2])).toEqual([1, 2]);
    expect(toVector(Buffer.from(new Float32Array([0.5, -2]).buffer).toString('base64'))).toEqual([0.5, -2]);
  });

  it.each([null, 'not base64!', 'AAA=', [1, 'x']])('that are none are refused: %j', (value) => {
    expect(() => toVector(value)).toThrow(/OpenAI-compatible server/);
  });
});

describe('the configuration', () => {
  it('has no password in its address', () => {
    expect(() => new Connection('http://me:hidden@box/v1', {} as never)).toThrow(/without user and password/);
  });
});
