import { afterAll, beforeAll, expect, it } from 'vitest';
import { type OllamaStandIn, startOllamaStandIn } from '../standins/ollama.js';
import { startTestKernel } from '../support/kernel.js';
import { type PluginOnDisk, pluginSource, writePlugin } from '../support/plugin-folder.js';

const GREETER = pluginSource(`
  const llm = services.use('llm');
  http.post('/hello', { body: Type.Object({ name: Type.String() }) }, async ({ body, signal }) => {
    const reply = await llm.chat({ messages: [{ role: 'user', content: 'Greet ' + body.name }] }, { signal });
    return { hello: reply.message.content, model: reply.model };
  });
  http.get('/stream', ({ signal }) => llm.chatStream({ messages: [{ role: 'user', content: 'a b' }] }, { signal }));
  http.get('/embed', () => llm.embed({ input: ['coral'] }));
`);

let kernel: Awaited<ReturnType<typeof startTestKernel>>;
let ollama: OllamaStandIn;
let greeter: PluginOnDisk;

beforeAll(async () => {
  ollama = await startOllamaStandIn();
  greeter = writePlugin('greeter', GREETER, { consumes: { llm: '^1.0.0' } });
  kernel = await startTestKernel({ env: { OLLAMA_HOST: ollama.url }, pluginPath: [greeter.root] });
}, 120_000);

afterAll(async () => {
  await kernel?.stop();
  await ollama?.stop();
  greeter?.remove();
});

const post = (path: string, body: object) =>
  kernel.call(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

it('another plugin chats through the llm service without naming a model', async () => {
  const reply = await (await post('/x/greeter/hello', { name: 'Ada' })).json();
  expect(reply).toEqual({ hello: 'You said: Greet Ada', model: 'ollama/llama3.2:latest' });
});

it('another plugin streams and embeds', async () => {
  const text = await (await kernel.call('/x/greeter/stream', { headers: { accept: 'text/event-stream' } })).text();
  expect(text).toContain('"finishReason":"stop"');
  const embedded = (await (await kernel.call('/x/greeter/embed')).json()) as { model: string; embeddings: number[][] };
  expect(embedded.model).toBe('builtin/lexical');
  expect(embedded.embeddings[0]).toHaveLength(384);
});

it('the hello plugin greets, and hears its own event', async () => {
  const reply = await post('/api/v1/hello', { name: 'Ada' });
  expect(await reply.json()).toEqual({ hello: 'Hello, Ada!' });
  await expect
    .poll(async () => (await kernel.call('/api/v1/plugins/hello/logs')).text(), { timeout: 5_000 })
    .toContain('someone was greeted');
  expect((await post('/api/v1/hello', { name: '' })).status).toBe(422);
});
