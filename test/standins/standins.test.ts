import { Ollama } from 'ollama';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { collect } from '../support/collect.js';
import { type OllamaStandIn, startOllamaStandIn } from './ollama.js';
import { type OpenAiStandIn, startOpenAiStandIn } from './openai.js';

let ollama: OllamaStandIn;
let openai: OpenAiStandIn;

beforeAll(async () => {
  ollama = await startOllamaStandIn();
  openai = await startOpenAiStandIn();
});

afterAll(() => Promise.all([ollama.stop(), openai.stop()]));

const messages = [{ role: 'user' as const, content: 'Hi there' }];

it('the official Ollama client accepts its stand-in', async () => {
  const client = new Ollama({ host: ollama.url });
  expect((await client.list()).models.length).toBeGreaterThan(2);
  expect((await client.show({ model: 'llama3.2' })).capabilities).toContain('tools');
  expect((await client.chat({ model: 'llama3.2', messages })).message.content).toBe('You said: Hi there');
  ollama.behave({ pieceBytes: 3 });
  let text = '';
  for await (const part of await client.chat({ model: 'llama3.2', messages, stream: true }))
    text += part.message.content;
  expect(text).toBe('You said: Hi there');
  ollama.behave();
  expect((await client.embed({ model: 'nomic-embed-text', input: ['a', 'b'] })).embeddings).toHaveLength(2);
  expect((await client.ps()).models[0]?.name).toBe('llama3.2:latest');
  await expect(client.chat({ model: 'nothing', messages })).rejects.toThrow("model 'nothing' not found");
  ollama.behave({ busy: true });
  await expect(client.chat({ model: 'llama3.2', messages })).rejects.toThrow('server busy');
});

it('the official OpenAI client accepts its stand-in', async () => {
  const client = new OpenAI({ baseURL: `${openai.url}/v1`, apiKey: 'none', maxRetries: 0 });
  const model = 'gpt-stand-in';
  expect((await client.chat.completions.create({ model, messages })).choices[0]?.message.content).toBe(
    'You said: Hi there',
  );
  openai.behave({ crlf: true, pieceBytes: 2 });
  const final = await client.chat.completions.stream({ model, messages }).finalChatCompletion();
  expect(final.choices[0]?.message.content).toBe('You said: Hi there');
  openai.behave();
  expect((await collect(client.models.list())).map(({ id }) => id)).toContain(model);
  expect((await client.embeddings.create({ model: 'text-embedding-stand-in', input: ['a', 'b'] })).data[0]?.index).toBe(
    1,
  );
});
