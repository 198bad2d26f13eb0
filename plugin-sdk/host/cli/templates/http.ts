import { template } from './files.js';

/** A route that checks what it gets. */
export const http = template({
  atoll: (id) => ({ mounts: [`/api/v1/${id}`] }),
  about: (id) => `\`POST /api/v1/${id}/hello\` greets by name.`,
  entry: () => `import { definePlugin, Type } from '@atoll/plugin-sdk';

export default definePlugin(({ http, log }) => {
  const body = Type.Object({ name: Type.String({ minLength: 1 }) });

  http.post('/hello', { body }, ({ body }) => {
    log.info({ name: body.name }, 'greeting');
    return { hello: \`Hello, \${body.name}!\` };
  });
});
`,
  test: (id) => `import { testPlugin } from '@atoll/plugin-sdk/testing';
import { expect, it } from 'vitest';

it('greets', async () => {
  const plugin = await testPlugin(new URL('..', import.meta.url));
  try {
    const reply = await plugin.request('POST', '/api/v1/${id}/hello', { json: { name: 'Ada' } });
    expect(reply.json()).toEqual({ hello: 'Hello, Ada!' });
  } finally {
    await plugin.close();
  }
});
`,
});
