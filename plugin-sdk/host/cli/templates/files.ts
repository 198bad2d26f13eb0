/** The files of a new plugin, by path. */
export type Template = (id: string, title: string) => Record<string, string>;

interface TemplateParts {
  /** Members of the manifest beside the common ones. */
  atoll?: (id: string) => object;
  entry: (id: string) => string;
  test: (id: string) => string;
  /** Further files. */
  files?: Record<string, string>;
  /** What it does, as Markdown. */
  about: (id: string) => string;
}

/** What all templates have in common: manifest, readme, and where the sources lie. */
export function template({ atoll, entry, test, files, about }: TemplateParts): Template {
  return (id, title) => ({
    'package.json': `${JSON.stringify(manifest(id, title, atoll?.(id)), null, 2)}\n`,
    'src/index.ts': entry(id),
    ...files,
    'src/index.test.ts': test(id),
    'README.md': readme(title, about(id)),
    '.gitignore': 'node_modules/\n.atoll/\n*.tgz\n',
  });
}

const manifest = (id: string, title: string, atoll: object = {}) => ({
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
    permissions: {},
    limits: { memoryMb: 64, timeoutMs: 5000, concurrency: 16 },
    ...atoll,
  },
});

const readme = (title: string, about: string) => `# ${title}

An Atoll plugin: ${about}

- \`package.json\`: the manifest, in its \`atoll\` field. What is not asked for there is denied.
- \`src/index.ts\`: the setup. It runs in an isolate with web APIs (\`fetch\`, \`URL\`, \`crypto\`, streams) and without Node.
- \`src/index.test.ts\`: runs the plugin in a real isolate, with vitest.

From Atoll's folder:

\`\`\`sh
npm run atoll -- dev <this folder>       # a server with live reload
npm run atoll -- test <this folder>      # its tests
npm run atoll -- publish <this folder>   # into the marketplace of a running server
\`\`\`
`;
