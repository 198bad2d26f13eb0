import { describe, expect, it } from 'vitest';
import { AnswerReader, collect } from './answer.js';
import { settingsOf } from './config.js';
import { assertFits, assertNotCut, sizeOf } from './context.js';
import { reportedError, statusError } from './errors.js';
import { thinkOf } from './model-facts.js';
import { OllamaProvider } from './provider.js';
import { toNative } from './request.js';

const config = {
  host: 'http://x',
  options: { num_ctx: 8192 },
  models: { 'qwen3:8b': { options: { num_gpu: 10 }, keepAlive: '1h' } },
};
const input = { model: 'qwen3:8b', messages: [{ role: 'user' as const, content: 'Hi' }] };
const tool = { name: 'f', parameters: { type: 'object', properties: {} } };

describe('requests', () => {
  it('carry the pinned options of their model', () => {
    expect(settingsOf(config, 'qwen3:8b')).toEqual({ options: { num_ctx: 8192, num_gpu: 10 }, keepAlive: '1h' });
    expect(settingsOf(config, 'other')).toEqual({ options: { num_ctx: 8192 } });
    expect(toNative({ ...input, temperature: 0 }, config, undefined)).toMatchObject({
      options: { num_ctx: 8192, num_gpu: 10, temperature: 0 },
      keep_alive: '1h',
      truncate: false,
    });
  });

  it('emulate tool_choice', () => {
    const tools = [tool, { name: 'g' }];
    expect(toNative({ ...input, tools, toolChoice: 'none' }, config, undefined).tools).toBeUndefined();
    expect(toNative({ ...input, tools, toolChoice: { name: 'g' } }, config, undefined).tools).toHaveLength(1);
    expect(() => toNative({ ...input, tools, toolChoice: { name: 'h' } }, config, undefined)).toThrow(
      /not among the tools/,
    );
  });

  it('refuse arguments that are no object', () => {
    const messages = [
      { role: 'assistant' as const, content: '', toolCalls: [{ id: 'c', name: 'f', arguments: '[1]' }] },
    ];
    expect(() => toNative({ ...input, messages }, config, undefined)).toThrow(/not a JSON object/);
  });

  it('ask for thinking only where there is any', () => {
    const thinking = { capabilities: ['completion', 'thinking'] };
    expect(thinkOf(undefined, thinking, 'm')).toBe(false);
    expect(thinkOf('high', thinking, 'm')).toBe(true);
    expect(thinkOf('none', thinking, 'm')).toBe(false);
    expect(thinkOf('minimal', { ...thinking, family: 'gptoss' }, 'm')).toBe('low');
    expect(thinkOf(undefined, { capabilities: ['completion'] }, 'm')).toBeUndefined();
    expect(() => thinkOf(true, { capabilities: ['completion'] }, 'm')).toThrow(/cannot reason/);
  });
});

describe('answers', () => {
  it('become chunks, with calls as text', () => {
    const reader = new AnswerReader(input);
    const chunks = [
      ...reader.read({ message: { thinking: 'hm' } }),
      ...reader.read({ message: { content: 'yes' } }),
      ...reader.read({ message: { tool_calls: [{ function: { name: 'f', arguments: { a: 1 } } }] } }),
      ...reader.read({ done: true, done_reason: 'stop', eval_count: 3 }),
    ];
    expect(collect('m', chunks)).toMatchObject({
      message: { content: 'yes', thinking: 'hm', toolCalls: [{ name: 'f', arguments: '{"a":1}' }] },
      finishReason: 'tool_calls',
      usage: { promptTokens: 0, completionTokens: 3, totalTokens: 3 },
    });
  });

  it('that end without a reason are cut off, also after some words', () => {
    expect(() => new AnswerReader(input).read({ done: true })).toThrow(/without a reason/);
    const reader = new AnswerReader(input);
    reader.read({ message: { content: 'Half an ans' } });
    expect(() => reader.read({ done: true })).toThrow(/without a reason/);
    expect(() => new AnswerReader(input).read({ message: { content: 'Half' }, done: true })).toThrow(
      /without a reason/,
    );
    expect(new AnswerReader(input).read({ done: true, eval_count: 3 })).toMatchObject([{ finishReason: 'stop' }]);
  });

  it('are not lost for what stands beside them', () => {
    const reader = new AnswerReader(input);
    const message = { content: 'Hi', thinking: null, tool_calls: null };
    const logprobs = [{ token: 'Hi', logprob: null, top_logprobs: null }];
    const chunks = [
      ...reader.read({ error: null, message, logprobs }),
      ...reader.read({ message: null, done: true, done_reason: 'stop', prompt_eval_count: null, eval_count: 2.5 }),
    ];
    expect(collect('m', chunks)).toEqual({
      model: 'm',
      message: { role: 'assistant', content: 'Hi' },
      finishReason: 'stop',
      usage: { promptTokens: 0, completionTokens: 3, totalTokens: 3 },
      logprobs: [{ token: 'Hi', logprob: -9999 }],
    });
    const call = { function: { name: 'f', arguments: null } };
    expect(reader.read({ message: { tool_calls: [call] } })).toMatchObject([{ toolCalls: [{ arguments: '{}' }] }]);
  });

  it('without the call that was required are errors', () => {
    const reader = new AnswerReader({ ...input, tools: [tool], toolChoice: 'required' });
    reader.read({ message: { content: 'no' } });
    expect(() => reader.read({ done: true, done_reason: 'stop' })).toThrow(/without calling a tool/);
  });

  it('that are error lines keep their meaning', () => {
    const read = (error: string) => () => new AnswerReader(input).read({ error });
    expect(read('server busy, please try again.  maximum pending requests exceeded')).toThrow(
      expect.objectContaining({ code: 'UPSTREAM_BUSY' }),
    );
    expect(() => new AnswerReader(input).read({ error: { message: 'an object' } })).toThrow('Ollama: an object');
    expect(read('cudaMalloc failed: out of memory')).toThrow(expect.objectContaining({ code: 'UPSTREAM_ERROR' }));
  });
});

describe('errors', () => {
  it.each([
    [404, '{"error":"model \'x\' not found"}', 'MODEL_NOT_FOUND', 404],
    [400, '{"error":"the input length exceeds the context length"}', 'CONTEXT_TOO_LONG', 400],
    [400, '{"error":"\\"m\\" does not support thinking"}', 'UNSUPPORTED', 400],
    [503, '{"error":"server busy, please try again.  maximum pending requests exceeded"}', 'UPSTREAM_BUSY', 503],
    [499, '{"error":"request canceled"}', 'UPSTREAM_ERROR', 502],
    [500, '{"error":"llama runner process has terminated"}', 'UPSTREAM_ERROR', 502],
    [403, '', 'UPSTREAM_ERROR', 403],
    [502, '<html>bad gateway</html>', 'UPSTREAM_BAD_ANSWER', 502],
  ])('of status %i with %s', (status, body, code, expected) => {
    const error = statusError(status, body);
    expect([error.code, error.status]).toEqual([code, expected]);
  });

  it('keep the time to wait', () => {
    const headers = new Headers({ 'retry-after': '9' });
    for (const status of [429, 503])
      expect(statusError(status, '{"error":"server busy"}', headers).extras.retryAfter).toBe(9);
  });

  it('are read by their words in mid-stream', () => {
    expect(reportedError('model "x" not found, try pulling it first', 200).code).toBe('MODEL_NOT_FOUND');
  });
});

describe('the context', () => {
  const say = (content: string) => ({ ...input, messages: [{ role: 'user' as const, content }] });
  const size = sizeOf(say('one two three four'));
  const tooLong = expect.objectContaining({ code: 'CONTEXT_TOO_LONG' });

  it('counts no more tokens than any tokenizer would, and no fewer', () => {
    expect(size.least).toBe(4);
    expect(sizeOf(say('a'.repeat(320))).least).toBe(10);
    expect(sizeOf(say('鱼'.repeat(400))).least).toBe(100);
    expect(sizeOf(say('鱼é🐠'.repeat(100))).most - sizeOf(say('')).most).toBe(900);
  });

  it('counts calls and tools as well', () => {
    const toolCalls = [{ id: 'c', name: 'f', arguments: JSON.stringify({ text: 'word '.repeat(1_000) }) }];
    const called = sizeOf({ ...input, messages: [{ role: 'assistant', content: '', toolCalls }] });
    expect(called.least).toBeGreaterThan(1_000);
    expect(called.most).toBeGreaterThan(5_000);
    expect(sizeOf({ ...input, tools: [{ name: 'f', description: 'word '.repeat(1_000) }] }).least).toBeGreaterThan(
      1_000,
    );
  });

  it('that is too short is an error before, and one that was filled is one after', () => {
    expect(() => assertFits(size, 3, 'm')).toThrow(tooLong);
    expect(() => assertFits(size, undefined, 'm')).not.toThrow();
    expect(() => assertNotCut(size, 10, 10, 'm')).toThrow(/filled all of it/);
    expect(() => assertNotCut(size, 9, 10, 'm')).not.toThrow();
  });

  it('that lost whole messages is noticed', () => {
    const long = sizeOf(say('word '.repeat(1_500)));
    expect(() => assertNotCut(long, 900, 2_048, 'm')).toThrow(/only 900 of at least 1500/);
    expect(() => assertNotCut(long, 0, 2_048, 'm')).not.toThrow();
    expect(() => assertNotCut(long, 900, 131_072, 'm')).not.toThrow();
  });
});

describe('the configuration', () => {
  it('has no password in its address', () => {
    const wrong = { ...config, host: 'http://me:hidden@box' };
    expect(() => new OllamaProvider(wrong, {} as never)).toThrow(/without user and password/);
  });
});
