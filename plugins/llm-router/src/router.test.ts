import { AtollError, definePlugin, type PluginDefinition } from '@atoll/plugin-sdk';
import { type ChatChunk, llmProvider, type ModelInfo } from '@atoll/plugin-sdk/services/llm-provider';
import OpenAI from 'openai';
import { afterEach, describe, expect, it } from 'vitest';
import { startPluginHost } from '../../../test/standins/plugin-host.js';
import router from './index.js';
import { nearest } from './models/names.js';

/** A provider that answers with its own name. */
function provider(
  id: string,
  models: ModelInfo[],
  more: { chunks?: ChatChunk[]; listing?: () => Promise<never> } = {},
) {
  const definition = definePlugin(({ services }) => {
    services.provide(llmProvider, {
      models: async () => (more.listing ? more.listing() : { models }),
      chat: ({ model }) => {
        if (!models.some((one) => one.id === model)) throw new AtollError('MODEL_NOT_FOUND', `no ${model}`);
        return { model, message: { role: 'assistant', content: `${id}:${model}` }, finishReason: 'stop' };
      },
      async *chatStream() {
        yield* more.chunks ?? [];
      },
      embed: ({ model, input }) => ({ model, embeddings: input.map(() => [1, 0]) }),
    });
  });
  return { id, definition: definition as PluginDefinition<never> };
}

let host: Awaited<ReturnType<typeof startPluginHost>> | undefined;
afterEach(() => host?.stop());

async function start(providers: ReturnType<typeof provider>[], config: Record<string, unknown> = {}) {
  const defaults = { aliases: {}, defaultEmbeddingModel: 'builtin/lexical' };
  host = await startPluginHost([
    ...providers,
    { id: 'llm-router', definition: router as never, config: { ...defaults, ...config } },
  ]);
  return host;
}

const builtin = provider('provider-builtin', [{ id: 'extractive', capabilities: ['chat'] }]);
const local = provider('provider-local', [
  { id: 'embedder', capabilities: ['embed'] },
  { id: 'm:latest', capabilities: ['chat'] },
  { id: 'org/both:x' },
]);
const remote = provider('remote', [{ id: 'org/both:x' }, { id: 'r' }]);
const messages = [{ role: 'user', content: 'Hi' }];

/** Long vectors that begin with the length of the text; never too many at once. */
const vectors = {
  id: 'vectors',
  definition: definePlugin(({ services }) => {
    services.provide(llmProvider, {
      models: () => ({ models: [{ id: 'long' }] }),
      chat: () => Promise.reject(new Error('no chat')),
      async *chatStream() {},
      embed: ({ model, input }) => {
        if (input.length * 2_048 > 250_000) throw new AtollError('PLUGIN_BAD_RESPONSE', 'too much');
        const embeddings = input.map(({ length }) => [length, ...new Array<number>(2_047).fill(0.015625)]);
        return { model, embeddings, usage: { promptTokens: input.length } };
      },
    });
  }) as PluginDefinition<never>,
};

interface Reply {
  message: { content: string };
  model: string;
}

async function ask(config: Record<string, unknown>, model?: string): Promise<string> {
  const { service } = await start([builtin, local, remote], config);
  const reply = (await service('llm').chat!({ messages, ...(model && { model }) })) as Reply;
  return reply.message.content;
}

describe('the llm service', () => {
  it('needs no model: the first that is known to chat answers', async () => {
    expect(await ask({})).toBe('provider-local:m:latest');
  });

  it('falls back on the built-in answerer', async () => {
    const { service } = await start([builtin, provider('remote', [{ id: 'r' }])]);
    expect(await service('llm').chat!({ messages })).toMatchObject({
      model: 'builtin/extractive',
      message: { role: 'assistant' },
    });
  });

  it('follows defaultModel and aliases', async () => {
    expect(await ask({ defaultModel: 'fast', aliases: { fast: 'remote/r' } })).toBe('remote:r');
  });

  it.each([
    ['local/m:latest', 'provider-local:m:latest'],
    ['provider-local/m:latest', 'provider-local:m:latest'],
    ['remote/org/both:x', 'remote:org/both:x'],
    ['m', 'provider-local:m:latest'],
    ['r', 'remote:r'],
  ])('finds %s', async (name, expected) => {
    expect(await ask({}, name)).toBe(expected);
  });

  it.each([
    ['org/both:x', /"local\/org\/both:x" or "remote\/org\/both:x"/],
    ['remote/rr', /Did you mean "remote\/r"/],
    ['__proto__', /does not exist/],
    ['constructor', /does not exist/],
    ['q'.repeat(1_000_000), /No model has a name of more than 300 characters/],
  ])('says what is wrong with %.40s', async (name, expected) => {
    await expect(ask({}, name)).rejects.toThrow(
      expect.objectContaining({ code: 'MODEL_NOT_FOUND', message: expect.stringMatching(expected) as string }),
    );
  });
});

describe('a provider that has stopped', () => {
  const down = expect.objectContaining({
    code: 'PLUGIN_NOT_ACTIVE',
    message: expect.stringContaining('provider-local') as string,
  });

  it('is missing for the time being: its models are not unknown', async () => {
    const { service, withdraw } = await start([builtin, local, remote], { aliases: { mine: 'local/m:latest' } });
    const names = ['local/m:latest', 'provider-local/m:latest', 'm', 'mine'];
    const chat = (model: string) => service('llm').chat!({ messages, model });
    for (const model of names) await expect(chat(model)).resolves.toBeDefined();
    withdraw('provider-local');
    for (const model of names) await expect(chat(model)).rejects.toThrow(down);
    await expect(chat('remote/r')).resolves.toBeDefined();
    await expect(chat('elsewhere/m')).rejects.toThrow(expect.objectContaining({ code: 'MODEL_NOT_FOUND' }));
  });

  it('was meant to be there when the configuration names it', async () => {
    const { service } = await start([builtin], { aliases: { mine: 'local/m' } });
    await expect(service('llm').chat!({ messages, model: 'mine' })).rejects.toThrow(down);
  });
});

describe('the list of models', () => {
  it('does without providers that fail', async () => {
    const broken = provider('provider-broken', [], {
      listing: () => Promise.reject(new AtollError('UPSTREAM_UNREACHABLE', 'down')),
    });
    const { url } = await start([broken, builtin]);
    const list = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string }[] };
    expect(list.data.map(({ id }) => id)).toEqual(['builtin/extractive']);
  });
});

describe('large bodies', () => {
  const post = (url: string, body: string) => fetch(`${url}/v1/chat/completions`, { method: 'POST', body });

  it('of many values are refused before they are parsed', async () => {
    const { url } = await start([provider('p', [{ id: 'm' }])]);
    const junk = `[${'{},'.repeat(400_000)}0]`;
    const response = await post(url, `{"model":"p/m","messages":[{"role":"user","content":"x"}],"junk":${junk}}`);
    expect(response.status).toBe(413);
    expect(await response.json()).toMatchObject({ error: { code: 'BODY_TOO_LARGE', type: 'invalid_request_error' } });
  });

  it('are taken one after the other, also when their answers are streams', async () => {
    const { url } = await start([provider('p', [{ id: 'm' }], { chunks: [{ finishReason: 'stop' }] })]);
    const large = (stream: boolean) =>
      JSON.stringify({ model: 'p/m', stream, messages: [{ role: 'user', content: 'x'.repeat(12_000_000) }] });
    for (const stream of [false, true, true, false, true]) {
      const response = await post(url, large(stream));
      expect(response.status).toBe(200);
      await response.text();
    }
  });
});

describe('streams', () => {
  async function read(chunks: ChatChunk[]) {
    const { url } = await start([provider('p', [{ id: 'm' }], { chunks })]);
    const body = JSON.stringify({ model: 'p/m', messages, stream: true });
    const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body });
    return { status: response.status, text: await response.text() };
  }

  it('end with [DONE] when they finish', async () => {
    const { text } = await read([{ content: 'a' }, { finishReason: 'stop' }]);
    expect(text.endsWith('data: [DONE]\n\n')).toBe(true);
  });

  it.each([[[]], [[{ content: 'a' }]], [[{ content: 'a' }, { thinking: 'b' }]]])(
    'end with an error when they do not: %j',
    async (chunks) => {
      const { text } = await read(chunks);
      expect(text).not.toContain('[DONE]');
      expect(text).toContain('"code":"UPSTREAM_BAD_ANSWER"');
    },
  );
});

describe('embeddings', () => {
  const input = Array.from({ length: 600 }, (_, at) => 'x'.repeat(at + 1));

  it.each(['float', 'base64'] as const)('of many texts come whole and in order, as %s', async (encoding_format) => {
    const { url } = await start([vectors]);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const { data, model, usage } = await client.embeddings.create({ model: 'vectors/long', input, encoding_format });
    expect(data).toHaveLength(600);
    expect(data.map(({ index }) => index)).toEqual(input.map((_, at) => at));
    if (encoding_format === 'float')
      expect(data.map(({ embedding }) => embedding[0])).toEqual(input.map(({ length }) => length));
    expect([model, usage.total_tokens]).toEqual(['vectors/long', 600]);
  });

  it('that do not fit into one answer to a plugin are refused in words', async () => {
    const { service } = await start([vectors]);
    const embed = (texts: string[]) => service('llm').embed!({ model: 'vectors/long', input: texts });
    await expect(embed(input)).rejects.toThrow(/embed at most 97 texts at once/);
    await expect(embed(input.slice(0, 97))).resolves.toBeDefined();
  });
});

describe('responses', () => {
  it('with reasoning, text and calls are understood by the official client', async () => {
    const chunks: ChatChunk[] = [
      { thinking: 'hm ' },
      { thinking: 'yes' },
      { content: 'Hel' },
      { content: 'lo' },
      { toolCalls: [{ index: 0, id: 'a', name: 'f', arguments: '{"x"' }] },
      { toolCalls: [{ index: 0, arguments: ':1}' }] },
      { finishReason: 'tool_calls' },
    ];
    const { url } = await start([provider('p', [{ id: 'm' }], { chunks })]);
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const response = await client.responses.stream({ model: 'p/m', input: 'Hi' }).finalResponse();
    expect(response.output_text).toBe('Hello');
    expect(response.output).toMatchObject([
      { type: 'reasoning', content: [{ type: 'reasoning_text', text: 'hm yes' }] },
      { type: 'message' },
      { type: 'function_call', arguments: '{"x":1}' },
    ]);
  });
});

describe('near names', () => {
  it('are those with few letters changed, or that go on', () => {
    const names = ['ollama/llama3.2:latest', 'ollama/qwen3:8b', 'openai/gpt-5'];
    expect(nearest('ollama/lama3.2', names)).toEqual(['ollama/llama3.2:latest']);
    expect(nearest('qwen3', names)).toEqual(['ollama/qwen3:8b']);
    expect(nearest('something else', names)).toEqual([]);
  });

  it('of long names are not looked for', () => {
    const long = 'q'.repeat(65);
    expect(nearest(long, [long])).toEqual([]);
    expect(nearest('q'.repeat(64), ['q'.repeat(1_000_000), 'q'.repeat(63)])).toEqual(['q'.repeat(63)]);
  });
});
