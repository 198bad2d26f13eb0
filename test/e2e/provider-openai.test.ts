import OpenAI, { APIError } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { collect } from '../support/collect.js';
import { startTestKernel } from '../support/kernel.js';

let kernel: Awaited<ReturnType<typeof startTestKernel>>;
let client: OpenAI;

/** Nothing is configured: no key, no other base URL. */
beforeAll(async () => {
  kernel = await startTestKernel({ env: { OLLAMA_HOST: 'http://127.0.0.1:9' } });
  client = new OpenAI({ baseURL: `${kernel.url}/v1`, apiKey: kernel.key, maxRetries: 0 });
}, 120_000);

afterAll(() => kernel?.stop());

it('an unconfigured provider lists nothing, at once', async () => {
  const started = Date.now();
  const ids = (await collect(client.models.list())).map(({ id }) => id);
  expect(Date.now() - started).toBeLessThan(4_000);
  expect(ids).toEqual(['builtin/extractive', 'builtin/lexical']);
});

it('an unconfigured provider says what is missing', async () => {
  const asked = client.chat.completions.create({ model: 'openai/gpt-5', messages: [{ role: 'user', content: 'Hi' }] });
  const error = await asked.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(APIError);
  expect((error as APIError).status).toBe(503);
  expect((error as APIError).message).toContain('OPENAI_API_KEY');
});

it('the model may be left out', async () => {
  const body = { messages: [{ role: 'user', content: 'Hi' }] };
  const completion = await client.chat.completions.create(body as never);
  expect((completion as OpenAI.ChatCompletion).model).toBe('builtin/extractive');
});
