import { template } from './files.js';

/** A listener, and something that it listens to. */
export const event = template({
  atoll: (id) => ({
    mounts: [`/api/v1/${id}`],
    permissions: { events: { publish: [`${id}.*`], subscribe: [`${id}.*`] } },
  }),
  about: (id) =>
    `\`POST /api/v1/${id}\` publishes the event \`${id}.said\`; a listener counts words, and \`GET /api/v1/${id}\` tells how often each was said. The manifest names the topics that it may publish and listen to.`,
  entry: (id) => `import { definePlugin, Type } from '@atoll/plugin-sdk';

const SAID = '${id}.said';

export default definePlugin(({ http, events, lifecycle }) => {
  const body = Type.Object({ text: Type.String({ minLength: 1, maxLength: 1000 }) });
  let counts = new Map<string, number>();

  events.on<{ text: string }>(SAID, ({ data }) => {
    for (const word of data.text.toLowerCase().match(/\\p{L}+/gu) ?? []) counts.set(word, (counts.get(word) ?? 0) + 1);
  });

  http.post('/', { body }, async ({ body }) => {
    await events.emit(SAID, { text: body.text });
    return { published: SAID };
  });

  http.get('/', () => Object.fromEntries(counts));

  // What is in memory goes on to the version that takes over.
  lifecycle.onHandoff<[string, number][]>({
    version: 1,
    give: () => [...counts],
    receive: ({ state }) => {
      counts = new Map(state as [string, number][]);
    },
  });
});
`,
  test: (id) => `import { testPlugin } from '@atoll/plugin-sdk/testing';
import { expect, it } from 'vitest';

it('counts the words of events, and publishes some', async () => {
  const plugin = await testPlugin(new URL('..', import.meta.url));
  try {
    await plugin.emit('${id}.said', { text: 'to be or not to be' });
    expect((await plugin.request('GET', '/api/v1/${id}')).json()).toEqual({ to: 2, be: 2, or: 1, not: 1 });
    await plugin.request('POST', '/api/v1/${id}', { json: { text: 'be' } });
    expect(plugin.events.at(-1)).toMatchObject({ data: { text: 'be' } });
  } finally {
    await plugin.close();
  }
});
`,
});
