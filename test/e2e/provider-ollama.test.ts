import OpenAI, { APIError } from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { collect } from '../support/collect.js';
import { type OllamaStandIn, startOllamaStandIn } from '../standins/ollama.js';
import { startTestKernel } from '../support/kernel.js';

let kernel: Awaited<ReturnType<typeof startTestKernel>>;
let ollama: OllamaStandIn;
let client: OpenAI;

beforeAll(async () => {
  ollama = await startOllamaStandIn();
  kernel = await startTestKernel({ env: { OLLAMA_HOST: ollama.url } });
  client = new OpenAI({ baseURL: `${kernel.url}/v1`, apiKey: kernel.key, maxRetries: 0 });
}, 120_000);

afterAll(async () => {
  await kernel?.stop();
  await ollama?.stop();
});

afterEach(() => ollama.behave());

const say = (content: string) => [{ role: 'user' as const, content }];
const lastBody = () => ollama.to('/api/chat').at(-1)?.body as Record<string, unknown>;
const codeOf = (promise: PromiseLike<unknown>) =>
  Promise.resolve(promise).then(
    () => 'no error',
    (error: unknown) => (error instanceof APIError ? error.code : error),
  );

describe('thinking', () => {
  it('is turned off for models that can, unless asked for', async () => {
    await client.chat.completions.create({ model: 'ollama/qwen3:8b', messages: say('Hi') });
    expect(lastBody().think).toBe(false);
    const { choices } = await client.chat.completions.create({
      model: 'ollama/qwen3:8b',
      messages: say('Hi'),
      reasoning_effort: 'high',
    });
    expect(lastBody().think).toBe(true);
    expect(choices[0]?.message).toHaveProperty('reasoning_content', 'Let me think.');
  });

  it('has degrees only where the model knows them', async () => {
    await client.chat.completions.create({ model: 'ollama/gpt-oss:20b', messages: say('Hi'), reasoning_effort: 'low' });
    expect(lastBody().think).toBe('low');
  });

  it('is never sent to models that cannot', async () => {
    await client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi') });
    expect(lastBody()).not.toHaveProperty('think');
    expect(
      await codeOf(
        client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi'), reasoning_effort: 'high' }),
      ),
    ).toBe('UNSUPPORTED');
  });
});

describe('the context', () => {
  it('is never cut silently: prompts that cannot fit are refused', async () => {
    const long = 'word '.repeat(200_000);
    const asked = ollama.to('/api/chat').length;
    expect(await codeOf(client.chat.completions.create({ model: 'ollama/llama3.2', messages: say(long) }))).toBe(
      'CONTEXT_TOO_LONG',
    );
    expect(ollama.to('/api/chat')).toHaveLength(asked);
  });

  it('is never cut silently: the server is asked not to', async () => {
    const long = 'word '.repeat(5_000);
    expect(await codeOf(client.chat.completions.create({ model: 'ollama/llama3.2', messages: say(long) }))).toBe(
      'CONTEXT_TOO_LONG',
    );
  });

  it('is never cut silently: servers that cut anyway are found out, in streams as well', async () => {
    ollama.behave({ truncatesSilently: true });
    const long = 'word '.repeat(5_000);
    expect(await codeOf(client.chat.completions.create({ model: 'ollama/llava:7b', messages: say(long) }))).toBe(
      'CONTEXT_TOO_LONG',
    );
    const read = async () => {
      for await (const _ of await client.chat.completions.create({
        model: 'ollama/gpt-oss:20b',
        messages: say(long),
        stream: true,
      }));
    };
    await expect(read()).rejects.toThrow(/context/);
  });

  it('is never cut silently: a short text can be of many tokens', async () => {
    ollama.behave({ truncatesSilently: true, promptEvalCount: 4096 });
    const say3990 = () =>
      client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('鱼'.repeat(3_990)) });
    expect(await codeOf(say3990())).toBe('CONTEXT_TOO_LONG');
  });

  it('of embeddings is not cut either', async () => {
    expect(
      await codeOf(client.embeddings.create({ model: 'ollama/nomic-embed-text', input: 'word '.repeat(3_000) })),
    ).toBe('CONTEXT_TOO_LONG');
  });
});

describe('requests', () => {
  it('never carry options that make Ollama reload the model', async () => {
    await client.chat.completions.create({
      model: 'ollama/llama3.2',
      messages: say('Hi'),
      temperature: 0.1,
      max_tokens: 5,
      stop: 'x',
      seed: 1,
    });
    expect(lastBody().options).toEqual({ temperature: 0.1, num_predict: 5, stop: ['x'], seed: 1 });
  });

  it('carry images as base64, and refuse those that would have to be fetched', async () => {
    const ask = (url: string) =>
      client.chat.completions.create({
        model: 'ollama/llava:7b',
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What is it?' },
              { type: 'image_url', image_url: { url } },
            ],
          },
        ],
      });
    await ask('data:image/png;base64,aGVsbG8=');
    expect(lastBody().messages).toEqual([{ role: 'user', content: 'What is it?', images: ['aGVsbG8='] }]);
    expect(await codeOf(ask('https://example.com/a.png'))).toBe('UNSUPPORTED');
  });

  it('that a model cannot serve say so', async () => {
    const tools = [{ type: 'function' as const, function: { name: 'f', parameters: {} } }];
    expect(await codeOf(client.chat.completions.create({ model: 'ollama/llava:7b', messages: say('Hi'), tools }))).toBe(
      'UNSUPPORTED',
    );
  });
});

describe('answers', () => {
  it('that hit the limit finish with length', async () => {
    const { choices } = await client.chat.completions.create({
      model: 'ollama/llama3.2',
      messages: say('one two three'),
      max_tokens: 2,
    });
    expect(choices[0]?.finish_reason).toBe('length');
  });

  it('without counters count as zero', async () => {
    ollama.behave({ words: [], promptEvalCount: 0 });
    const { usage } = await client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi') });
    expect(usage).toMatchObject({ prompt_tokens: 0, completion_tokens: 0 });
  });
});

describe('a server that is not there', () => {
  it('is an error of its own, and does not spoil the list of models', async () => {
    const alone = await startTestKernel({ env: { OLLAMA_HOST: 'http://127.0.0.1:9' } });
    try {
      const lonely = new OpenAI({ baseURL: `${alone.url}/v1`, apiKey: alone.key, maxRetries: 0 });
      expect(await codeOf(lonely.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi') }))).toBe(
        'UPSTREAM_UNREACHABLE',
      );
      const started = Date.now();
      const ids = (await collect(lonely.models.list())).map(({ id }) => id);
      expect(Date.now() - started).toBeLessThan(5_000);
      expect(ids).toEqual(['builtin/extractive', 'builtin/lexical']);
    } finally {
      await alone.stop();
    }
  }, 120_000);
});
