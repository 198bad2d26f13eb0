/** The files of a new plugin, by path. */
type Template = (id: string, title: string) => Record<string, string>;

const manifest = (id: string, title: string) => ({
  name: `atoll-plugin-${id}`,
  version: '0.1.0',
  private: true,
  type: 'module',
  keywords: ['atoll-plugin'],
  atoll: {
    id,
    title,
    category: 'example',
    engine: '^1.0.0',
    entry: 'src/index.ts',
    mounts: [`/api/v1/${id}`],
    permissions: {},
    limits: { memoryMb: 64, timeoutMs: 5000, concurrency: 16 },
  },
});

const HTTP_ENTRY = `import { definePlugin, Type } from '@atoll/plugin-sdk';

export default definePlugin(({ http, log }) => {
  const body = Type.Object({ name: Type.String({ minLength: 1 }) });

  http.post('/hello', { body }, ({ body }) => {
    log.info({ name: body.name }, 'greeting');
    return { hello: \`Hello, \${body.name}!\` };
  });
});
`;

const httpTest = (id: string) => `import { testPlugin } from '@atoll/plugin-sdk/testing';
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
`;

const httpReadme = (id: string, title: string) => `# ${title}

An Atoll plugin: \`POST /api/v1/${id}/hello\` greets by name.

- \`package.json\`: the manifest, in its \`atoll\` field. What is not asked for there is denied.
- \`src/index.ts\`: the setup. It runs in an isolate with web APIs (\`fetch\`, \`URL\`, \`crypto\`, streams) and without Node.
- \`src/index.test.ts\`: runs the plugin in a real isolate, with vitest.

From Atoll's folder:

\`\`\`sh
npm run atoll -- dev <this folder>     # a server with live reload
npm run atoll -- build <this folder>   # check the manifest and bundle, as the server would
\`\`\`
`;

export const TEMPLATES = {
  http: (id, title) => ({
    'package.json': `${JSON.stringify(manifest(id, title), null, 2)}\n`,
    'src/index.ts': HTTP_ENTRY,
    'src/index.test.ts': httpTest(id),
    'README.md': httpReadme(id, title),
    '.gitignore': 'node_modules/\n.atoll/\n',
  }),
} as const satisfies Record<string, Template>;

export type TemplateName = keyof typeof TEMPLATES;
