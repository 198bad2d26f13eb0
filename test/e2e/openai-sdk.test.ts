import { setTimeout as sleep } from 'node:timers/promises';
import OpenAI, {
  APIError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { collect } from '../support/collect.js';
import { type OllamaStandIn, startOllamaStandIn } from '../standins/ollama.js';
import { type OpenAiStandIn, startOpenAiStandIn } from '../standins/openai.js';
import { startTestKernel } from '../support/kernel.js';

const KEY = 'sk-stand-in-1234567890';
const WEATHER = {
  type: 'function' as const,
  function: {
    name: 'get_weather',
    description: 'Get the current weather in a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

let kernel: Awaited<ReturnType<typeof startTestKernel>>;
let ollama: OllamaStandIn;
let upstream: OpenAiStandIn;
let client: OpenAI;

beforeAll(async () => {
  ollama = await startOllamaStandIn();
  upstream = await startOpenAiStandIn({ apiKey: KEY });
  kernel = await startTestKernel({
    env: { OLLAMA_HOST: ollama.url, OPENAI_BASE_URL: `${upstream.url}/v1`, OPENAI_API_KEY: KEY },
  });
  client = new OpenAI({ baseURL: `${kernel.url}/v1`, apiKey: kernel.key, maxRetries: 0 });
}, 120_000);

afterAll(async () => {
  await kernel?.stop();
  await Promise.all([ollama?.stop(), upstream?.stop()]);
});

afterEach(() => {
  ollama.behave();
  upstream.behave({ apiKey: KEY });
});

const say = (content: string) => [{ role: 'user' as const, content }];

async function until(condition: () => boolean, ms = 5_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error('It did not happen in time.');
    await sleep(10);
  }
}

async function failureOf(promise: PromiseLike<unknown>): Promise<APIError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof APIError) return error;
    throw error;
  }
  throw new Error('It should have failed.');
}

/** Reads a stream to its end, or to its error. */
async function drain(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  let error: unknown;
  try {
    for await (const chunk of stream) chunks.push(chunk);
  } catch (thrown) {
    error = thrown;
  }
  const text = chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');
  return { chunks, text, error };
}

const stream = async (model: string, content = 'Grüße aus Köln 🐠') =>
  drain(await client.chat.completions.create({ model, messages: say(content), stream: true }));

describe.each(['builtin/extractive', 'ollama/llama3.2', 'openai/gpt-stand-in'])('%s', (model) => {
  it('answers a chat', async () => {
    const completion = await client.chat.completions.create({ model, messages: say('Hello there') });
    expect(completion.object).toBe('chat.completion');
    expect(completion.model).toBe(model);
    expect(completion.choices[0]?.message.role).toBe('assistant');
    expect(completion.choices[0]?.message.content).toContain('Hello there');
    expect(completion.choices[0]?.finish_reason).toBe('stop');
    expect(completion.usage?.total_tokens).toBeGreaterThan(0);
  });

  it('streams role, text, finish and usage', async () => {
    const options = {
      model,
      messages: say('Hello there'),
      stream: true,
      stream_options: { include_usage: true },
    } as const;
    const { chunks, text, error } = await drain(await client.chat.completions.create(options));
    expect(error).toBeUndefined();
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(text).toContain('Hello there');
    expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('stop');
    expect(chunks.at(-1)?.choices).toEqual([]);
    expect(chunks.at(-1)?.usage?.total_tokens).toBeGreaterThan(0);
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
  });

  it('completes a prompt the old way', async () => {
    const whole = await client.completions.create({ model, prompt: 'Hello there' });
    expect(whole.choices[0]?.text).toContain('Hello there');
    let text = '';
    for await (const chunk of await client.completions.create({ model, prompt: 'Hello there', stream: true }))
      text += chunk.choices[0]?.text ?? '';
    expect(text).toBe(whole.choices[0]?.text);
  });

  it('creates a response, streamed and not', async () => {
    const response = await client.responses.create({ model, input: 'Hello there', instructions: 'Be brief.' });
    expect(response.status).toBe('completed');
    expect(response.output_text).toContain('Hello there');
    expect(response.usage?.output_tokens).toBeGreaterThan(0);
    const types: string[] = [];
    let text = '';
    const numbers: number[] = [];
    for await (const event of await client.responses.create({
      model,
      input: 'Hello there',
      instructions: 'Be brief.',
      stream: true,
    })) {
      types.push(event.type);
      numbers.push(event.sequence_number);
      if (event.type === 'response.output_text.delta') text += event.delta;
    }
    expect(text).toBe(response.output_text);
    expect(types.slice(0, 2)).toEqual(['response.created', 'response.in_progress']);
    expect(types).toContain('response.output_item.added');
    expect(types).toContain('response.output_text.done');
    expect(types.at(-1)).toBe('response.completed');
    expect(numbers).toEqual(numbers.map((_, index) => index));
  });

  it('refuses several answers at once', async () => {
    const error = await failureOf(client.chat.completions.create({ model, messages: say('Hi'), n: 2 }));
    expect(error).toBeInstanceOf(BadRequestError);
    expect(error.code).toBe('UNSUPPORTED');
  });
});

describe('tools', () => {
  it('are called by the built-in model, and their result is answered from', async () => {
    const messages: OpenAI.ChatCompletionMessageParam[] = say('What is the weather in Paris?');
    const first = await client.chat.completions.create({ model: 'builtin/extractive', messages, tools: [WEATHER] });
    const call = first.choices[0]?.message.tool_calls?.[0];
    expect(first.choices[0]?.finish_reason).toBe('tool_calls');
    expect(call?.type === 'function' && JSON.parse(call.function.arguments)).toEqual({ city: 'Paris' });
    messages.push(first.choices[0]!.message, {
      role: 'tool',
      tool_call_id: call!.id,
      content: 'The weather in Paris is sunny.',
    });
    const second = await client.chat.completions.create({ model: 'builtin/extractive', messages, tools: [WEATHER] });
    expect(second.choices[0]?.message.content).toContain('sunny');
  });

  it('of Ollama come as objects and leave as text, and go back as objects', async () => {
    ollama.behave({ toolCalls: [{ function: { name: 'get_weather', arguments: { city: 'Paris' } } }] });
    const first = await client.chat.completions.create({
      model: 'ollama/llama3.2',
      messages: say('Weather?'),
      tools: [WEATHER],
    });
    const message = first.choices[0]!.message;
    const call = message.tool_calls![0]!;
    expect(call.type === 'function' && call.function.arguments).toBe('{"city":"Paris"}');
    ollama.behave();
    await client.chat.completions.create({
      model: 'ollama/llama3.2',
      messages: [...say('Weather?'), message, { role: 'tool', tool_call_id: call.id, content: 'Sunny' }],
    });
    const sent = ollama.to('/api/chat').at(-1)?.body as { messages: Record<string, unknown>[] };
    expect(sent.messages[1]).toMatchObject({
      tool_calls: [{ function: { name: 'get_weather', arguments: { city: 'Paris' } } }],
    });
    expect(sent.messages[2]).toMatchObject({ role: 'tool', tool_name: 'get_weather', content: 'Sunny' });
  });

  it('of OpenAI are streamed piece by piece', async () => {
    upstream.behave({
      apiKey: KEY,
      toolCall: { id: 'call_1', name: 'get_weather', pieces: ['{"ci', 'ty":"Pa', 'ris"}'] },
    });
    const runner = client.chat.completions.stream({
      model: 'openai/gpt-stand-in',
      messages: say('Weather?'),
      tools: [WEATHER],
    });
    const final = await runner.finalChatCompletion();
    const call = final.choices[0]?.message.tool_calls?.[0];
    expect(call?.type === 'function' && call.function.arguments).toBe('{"city":"Paris"}');
    expect(final.choices[0]?.finish_reason).toBe('tool_calls');
  });

  it('obey tool_choice where Ollama has none', async () => {
    const ask = (tool_choice: 'none' | 'required') =>
      client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi'), tools: [WEATHER], tool_choice });
    await ask('none');
    expect(ollama.to('/api/chat').at(-1)?.body).not.toHaveProperty('tools');
    const error = await failureOf(ask('required'));
    expect(error.status).toBe(502);
    expect(error.message).toContain('without calling a tool');
  });

  it('of the responses API are items', async () => {
    const { parameters, ...rest } = WEATHER.function;
    const tool = { type: 'function' as const, strict: false, parameters, ...rest };
    const response = await client.responses.create({
      model: 'builtin/extractive',
      input: 'What is the weather in Paris?',
      tools: [tool],
    });
    const item = response.output.find(({ type }) => type === 'function_call');
    expect(item).toMatchObject({ name: 'get_weather', arguments: '{"city":"Paris"}' });
    const next = await client.responses.create({
      model: 'builtin/extractive',
      input: [
        ...say('What is the weather in Paris?'),
        item as OpenAI.Responses.ResponseFunctionToolCall,
        {
          type: 'function_call_output',
          call_id: (item as OpenAI.Responses.ResponseFunctionToolCall).call_id,
          output: 'The weather in Paris is sunny.',
        },
      ],
    });
    expect(next.output_text).toContain('sunny');
  });
});

describe('structured output', () => {
  const schema = {
    type: 'object',
    properties: { city: { type: 'string' }, people: { type: 'integer' } },
    required: ['city', 'people'],
    additionalProperties: false,
  };

  it('comes from the built-in model', async () => {
    const completion = await client.chat.completions.create({
      model: 'builtin/extractive',
      messages: say('city: Lyon, people: 522250. Where is Lyon?'),
      response_format: { type: 'json_schema', json_schema: { name: 'place', schema, strict: true } },
    });
    expect(JSON.parse(completion.choices[0]?.message.content ?? '')).toEqual({ city: 'Lyon', people: 522250 });
  });

  it('is passed on to Ollama as its format', async () => {
    await client.responses.create({
      model: 'ollama/llama3.2',
      input: 'Hi',
      text: { format: { type: 'json_schema', name: 'place', schema } },
    });
    expect(ollama.to('/api/chat').at(-1)?.body).toMatchObject({ format: schema });
    await client.chat.completions.create({
      model: 'ollama/llama3.2',
      messages: say('Hi'),
      response_format: { type: 'json_object' },
    });
    expect(ollama.to('/api/chat').at(-1)?.body).toMatchObject({ format: 'json' });
  });
});

describe('embeddings', () => {
  it.each(['builtin/lexical', 'ollama/nomic-embed-text', 'openai/text-embedding-stand-in'])(
    'of %s, as base64 and as numbers',
    async (model) => {
      const input = ['coral reef', 'a much longer text'];
      // The client asks for base64 unless told otherwise.
      const packed = await client.embeddings.create({ model, input });
      const plain = await client.embeddings.create({ model, input, encoding_format: 'float' });
      expect(plain.data.map(({ index }) => index)).toEqual([0, 1]);
      packed.data.forEach(({ embedding }, index) => {
        embedding.forEach((value, at) => {
          expect(value).toBeCloseTo(plain.data[index]!.embedding[at]!, 5);
        });
      });
      const short = await client.embeddings.create({ model, input: 'coral', dimensions: 2, encoding_format: 'float' });
      expect(short.data[0]?.embedding).toHaveLength(2);
    },
  );

  it('that come as base64 upstream are unpacked', async () => {
    upstream.behave({ apiKey: KEY, base64Embeddings: true });
    const { data } = await client.embeddings.create({
      model: 'openai/text-embedding-stand-in',
      input: 'four',
      encoding_format: 'float',
    });
    expect(data[0]?.embedding).toEqual([4 / 64, 5 / 64, 6 / 64, 7 / 64]);
  });

  it('of tokens are refused clearly', async () => {
    const error = await failureOf(client.embeddings.create({ model: 'builtin/lexical', input: [1, 2, 3] }));
    expect(error.code).toBe('UNSUPPORTED');
    expect(error.message).toContain('tokens');
  });
});

describe('models', () => {
  it('of all providers are listed, and found by ids with slashes and colons', async () => {
    const ids = (await collect(client.models.list())).map(({ id }) => id);
    expect(ids).toEqual(
      expect.arrayContaining([
        'builtin/extractive',
        'builtin/lexical',
        'ollama/llama3.2:latest',
        'openai/org/model:tag',
      ]),
    );
    expect((await client.models.retrieve('openai/org/model:tag')).id).toBe('openai/org/model:tag');
    expect((await client.models.retrieve('ollama/qwen3:8b')).object).toBe('model');
  });

  it('are found by a bare name, too', async () => {
    const { model } = await client.chat.completions.create({ model: 'qwen3:8b', messages: say('Hi') });
    expect(model).toBe('ollama/qwen3:8b');
  });

  it('that do not exist are a 404 with near names', async () => {
    for (const model of ['ollama/lama3.2', 'lama3.2', 'openai/gpt-standin', 'builtin/extractiv']) {
      const error = await failureOf(client.chat.completions.create({ model, messages: say('Hi') }));
      expect(error).toBeInstanceOf(NotFoundError);
      expect(error.code).toBe('MODEL_NOT_FOUND');
      expect(error.message).toContain('Did you mean');
    }
    expect(await failureOf(client.models.retrieve('ollama/nothing-like-it'))).toBeInstanceOf(NotFoundError);
  });
});

describe('errors', () => {
  it('without a key are 401', async () => {
    const stranger = new OpenAI({ baseURL: `${kernel.url}/v1`, apiKey: 'sk-wrong', maxRetries: 0 });
    expect(await failureOf(stranger.models.list())).toBeInstanceOf(AuthenticationError);
  });

  it('of bad input say what is wrong', async () => {
    const create = (body: object) => failureOf(client.chat.completions.create(body as never));
    expect((await create({ model: 'builtin/extractive' })).status).toBeLessThan(423);
    expect(
      (await create({ model: 'builtin/extractive', messages: [{ role: 'alien', content: '' }] })).message,
    ).toContain('messages[0].role');
    expect((await create({ model: 'builtin/extractive', messages: say('Hi'), temperature: 9 })).status).toBeLessThan(
      423,
    );
    expect((await create({ model: 'builtin/extractive', messages: say('Hi'), logit_bias: { 1: 2 } })).code).toBe(
      'UNSUPPORTED',
    );
    expect(
      (
        await failureOf(
          client.responses.create({ model: 'builtin/extractive', input: 'Hi', previous_response_id: 'resp_1' }),
        )
      ).code,
    ).toBe('UNSUPPORTED');
    expect(
      (await failureOf(client.responses.create({ model: 'builtin/extractive', input: 'Hi', store: true }))).code,
    ).toBe('UNSUPPORTED');
  });

  it('of OpenAI keep status and words', async () => {
    const ask = () => failureOf(client.chat.completions.create({ model: 'openai/gpt-stand-in', messages: say('Hi') }));
    upstream.behave({
      error: {
        status: 429,
        message: 'Rate limit reached for requests',
        type: 'requests',
        code: 'rate_limit_exceeded',
        retryAfter: 7,
      },
    });
    const limited = await ask();
    expect(limited).toBeInstanceOf(RateLimitError);
    expect(limited.message).toContain('Rate limit reached');
    upstream.behave({
      error: {
        status: 400,
        message: "This model's maximum context length is 10 tokens.",
        type: 'invalid_request_error',
        code: 'context_length_exceeded',
      },
    });
    expect((await ask()).code).toBe('CONTEXT_TOO_LONG');
    upstream.behave({ error: { status: 500, message: 'The server had an error', type: 'server_error', code: null } });
    const broken = await ask();
    expect(broken).toBeInstanceOf(InternalServerError);
    expect(broken.message).toContain('The server had an error');
  });

  it('of Ollama keep their meaning', async () => {
    const ask = () => failureOf(client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi') }));
    ollama.behave({ busy: true });
    const busy = await ask();
    expect([busy.status, busy.code]).toEqual([503, 'UPSTREAM_BUSY']);
    ollama.behave({ raw: { status: 200, contentType: 'application/json', body: '<html>a proxy</html>' } });
    const nonsense = await ask();
    expect([nonsense.status, nonsense.code]).toEqual([502, 'UPSTREAM_BAD_ANSWER']);
  });

  it('before the first chunk of a stream are HTTP errors', async () => {
    ollama.behave({ busy: true });
    const error = await failureOf(
      client.chat.completions.create({ model: 'ollama/llama3.2', messages: say('Hi'), stream: true }),
    );
    expect(error.status).toBe(503);
  });

  it.each([
    [
      'an error line of Ollama',
      'ollama/llama3.2',
      () => ollama.behave({ midStreamError: 'llama runner process has terminated' }),
    ],
    ['an Ollama stream without end', 'ollama/llama3.2', () => ollama.behave({ cutAfter: 2 })],
    ['a torn Ollama stream', 'ollama/llama3.2', () => ollama.behave({ cutAfter: 2, tear: true })],
    [
      'an error event of OpenAI',
      'openai/gpt-stand-in',
      () => upstream.behave({ midStreamError: { message: 'overloaded', type: 'server_error', code: null } }),
    ],
    ['an OpenAI stream without end', 'openai/gpt-stand-in', () => upstream.behave({ cutAfter: 3 })],
    ['an OpenAI stream without a finish reason', 'openai/gpt-stand-in', () => upstream.behave({ noFinish: true })],
    ['a torn OpenAI stream', 'openai/gpt-stand-in', () => upstream.behave({ cutAfter: 3, tear: true })],
  ])('in mid-stream reach the client: %s', async (_, model, misbehave) => {
    misbehave();
    const { text, error } = await stream(model);
    expect(text).not.toBe('');
    expect(error).toBeInstanceOf(APIError);
  });

  it('in mid-stream reach readers of responses', async () => {
    ollama.behave({ midStreamError: 'llama runner process has terminated' });
    const read = async () => {
      const events = await client.responses.create({ model: 'ollama/llama3.2', input: 'Hi', stream: true });
      for await (const event of events) expect(event.type).not.toBe('response.completed');
    };
    await expect(read()).rejects.toThrow('terminated');
  });
});

describe('framing', () => {
  it.each([1, 2, 3, 7])('survives pieces of %i bytes', async (pieceBytes) => {
    ollama.behave({ pieceBytes, words: ['Grüße', ' aus', ' Köln 🐠'] });
    upstream.behave({ apiKey: KEY, pieceBytes, crlf: true, words: ['Grüße', ' aus', ' Köln 🐠'] });
    for (const model of ['ollama/llama3.2', 'openai/gpt-stand-in']) {
      const { text, error } = await stream(model);
      expect(error).toBeUndefined();
      expect(text).toBe('Grüße aus Köln 🐠');
    }
  });
});

describe('a client that goes away', () => {
  it.each(['ollama/llama3.2', 'openai/gpt-stand-in'])('stops %s in mid-stream', async (model) => {
    const words = Array.from({ length: 400 }, (_, index) => ` ${index}`);
    const server = model.startsWith('ollama') ? ollama : upstream;
    server.behave({ apiKey: KEY, words, chunkDelayMs: 25 } as never);
    const before = server.disconnects;
    const answer = await client.chat.completions.create({ model, messages: say('Count'), stream: true });
    for await (const chunk of answer) if (chunk.choices[0]?.delta.content) break;
    await until(() => server.disconnects > before);
  });

  it.each(['ollama/llama3.2', 'openai/gpt-stand-in'])('stops %s before its first word', async (model) => {
    const server = model.startsWith('ollama') ? ollama : upstream;
    server.behave({ hang: true });
    const asked = server.requests.length;
    const before = server.disconnects;
    const controller = new AbortController();
    const answer = client.chat.completions.create({ model, messages: say('Hi') }, { signal: controller.signal });
    await until(() => server.requests.length > asked);
    controller.abort();
    await expect(answer).rejects.toThrow();
    await until(() => server.disconnects > before);
  });
});
