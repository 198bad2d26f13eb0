import { template } from './files.js';

const ECHO = `import { AtollError } from '@atoll/plugin-sdk';
import { type ChatChunk, type ChatInput, type ChatOutput, textOf } from '@atoll/plugin-sdk/services/llm-provider';

export const MODEL = 'echo';

export function chat(input: ChatInput): ChatOutput {
  return { model: MODEL, message: { role: 'assistant', content: answerTo(input) }, finishReason: 'stop' };
}

export function* chatStream(input: ChatInput): Generator<ChatChunk> {
  for (const content of answerTo(input).split(/(?<= )/)) yield { content };
  yield { finishReason: 'stop' };
}

function answerTo({ model, messages }: ChatInput): string {
  if (model !== MODEL) throw new AtollError('MODEL_NOT_FOUND', \`There is no model "\${model}".\`);
  return textOf(messages.at(-1)!.content);
}
`;

/** A source of language models: the router offers them at /v1. */
export const provider = template({
  atoll: () => ({
    category: 'models',
    provides: { 'llm-provider': '1.0.0' },
    limits: { memoryMb: 64, timeoutMs: 30_000, concurrency: 16 },
  }),
  about: (id) =>
    `the model \`${id}/echo\`, which repeats the last message, for \`/v1/chat/completions\` and every plugin that chats. Put your own model, or a call of its server by \`fetch\`, into its place.`,
  entry: () => `import { AtollError, definePlugin } from '@atoll/plugin-sdk';
import { llmProvider } from '@atoll/plugin-sdk/services/llm-provider';
import { chat, chatStream, MODEL } from './echo.js';

export default definePlugin(({ services }) => {
  services.provide(llmProvider, {
    models: () => ({ models: [{ id: MODEL, capabilities: ['chat'] }] }),
    chat: (input) => chat(input),
    async *chatStream(input) {
      yield* chatStream(input);
    },
    embed: () => {
      throw new AtollError('UNSUPPORTED', 'This provider has no embeddings.');
    },
  });
});
`,
  files: { 'src/echo.ts': ECHO },
  test: () => `import { testPlugin } from '@atoll/plugin-sdk/testing';
import { expect, it } from 'vitest';
import { chat, chatStream, MODEL } from './echo.js';

const input = { model: MODEL, messages: [{ role: 'user' as const, content: 'Hello, world!' }] };

it('answers', () => {
  expect(chat(input)).toMatchObject({ message: { content: 'Hello, world!' }, finishReason: 'stop' });
  expect(() => chat({ ...input, model: 'other' })).toThrow('There is no model "other".');
});

it('streams the same', () => {
  const chunks = [...chatStream(input)];
  expect(chunks.map(({ content }) => content ?? '').join('')).toBe('Hello, world!');
  expect(chunks.at(-1)).toEqual({ finishReason: 'stop' });
});

it('starts, with what its manifest promises', async () => {
  const plugin = await testPlugin(new URL('..', import.meta.url));
  await plugin.close();
});
`,
});
