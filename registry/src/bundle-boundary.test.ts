import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundlePlugin } from './bundle.js';
import { readPluginFolder } from './folder.js';
import { ENVELOPE_FILE } from './package/envelope.js';

let root: string;
let dir: string;

beforeEach(async () => {
  root = await realpath(await mkdtemp(path.join(tmpdir(), 'atoll-boundary-')));
  dir = path.join(root, 'work/plugins/sample');
});

afterEach(() => rm(root, { recursive: true }));

/** Files by their path below the root; a text that starts with → is a link to the place that follows. */
async function write(files: Record<string, string>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(root, name);
    await mkdir(path.dirname(file), { recursive: true });
    if (text.startsWith('→')) await symlink(text.slice(1).replace('ROOT', root), file);
    else await writeFile(file, text);
  }
}

const packageOf = (folder: string, name: string, text: string) => ({
  [`${folder}/package.json`]: JSON.stringify({ name, version: '1.0.0', main: 'index.js' }),
  [`${folder}/index.js`]: text,
});

async function bundle(source: string, files: Record<string, string> = {}, limitMs = 20_000) {
  const packageJson = JSON.stringify({ name: 'sample', version: '1.0.0', atoll: { id: 'sample' } });
  const own = { 'work/plugins/sample/package.json': packageJson, 'work/plugins/sample/src/index.ts': source };
  await write({ ...own, ...files });
  return bundlePlugin(await readPluginFolder(dir), { limitMs });
}

async function defaultOf(source: string, files?: Record<string, string>): Promise<unknown> {
  const { code, map } = await bundle(source, files);
  for (const text of [code, map]) expect(text).not.toContain(root);
  const context = vm.createContext({});
  vm.runInContext(code, context);
  return (context as { __atollPlugin: { default: unknown } }).__atollPlugin.default;
}

async function failureOf(source: string, files?: Record<string, string>): Promise<string> {
  const error: unknown = await bundle(source, files).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ code: 'BUNDLE_FAILED' });
  const { message } = error as Error;
  expect(message).not.toContain(root);
  expect(message).not.toContain('took too long');
  return message;
}

const textOf = (file: string): string => `import text from '${file}' with { type: 'text' }; export default text;`;
const OUTSIDE = "lies outside of the plugin's folder";
const NODE_MODULES = 'work/plugins/sample/node_modules';

describe('a bundle takes in packages', () => {
  it.each(['work/plugins/sample', 'work/plugins', 'work', '.'])('of the node_modules in %s', async (folder) => {
    const files = packageOf(`${folder}/node_modules/lib`, 'lib', "module.exports = 'lib';");
    expect(await defaultOf("export { default } from 'lib';", files)).toBe('lib');
  });

  it('and theirs, nested', async () => {
    const files = {
      ...packageOf('work/node_modules/@s/lib', '@s/lib', "module.exports = require('dep') + require('./more.js');"),
      'work/node_modules/@s/lib/more.js': "module.exports = ' more';",
      ...packageOf('work/node_modules/@s/lib/node_modules/dep', 'dep', "module.exports = 'nested';"),
      ...packageOf('work/node_modules/dep', 'dep', "module.exports = 'other';"),
    };
    expect(await defaultOf("export { default } from '@s/lib';", files)).toBe('nested more');
  });

  it.each([
    ['inside of the project', 'work/node_modules/.pnpm', 'lib@1.0.0/node_modules'],
    ['for the whole machine', 'home/.local/share/pnpm/store/v10/links', '@/lib/1.0.0/0a1b/node_modules'],
  ])('of a pnpm store %s', async (_, store, place) => {
    const files = {
      ...packageOf(`${store}/${place}/lib`, 'lib', "module.exports = require('dep') + ' of lib';"),
      ...packageOf(`${store}/dep@1.0.0/node_modules/dep`, 'dep', "module.exports = 'dep';"),
      [`${store}/${place}/dep`]: `→ROOT/${store}/dep@1.0.0/node_modules/dep`,
      [`${NODE_MODULES}/lib`]: `→ROOT/${store}/${place}/lib`,
    };
    expect(await defaultOf("export { default } from 'lib';", files)).toBe('dep of lib');
  });

  it.each([
    ['npm', 'work/node_modules', { 'work/package.json': '{"workspaces":["plugins/*","packages/*"]}' }],
    ['pnpm', NODE_MODULES, { 'work/pnpm-workspace.yaml': '' }],
  ])('of the same workspace of %s, with what these need', async (_, links, workspace) => {
    const files = {
      ...workspace,
      ...packageOf('work/packages/shared', '@acme/shared', "module.exports = require('./lib/a.js');"),
      'work/packages/shared/lib/a.js': "module.exports = require('../b.js') + require('dep');",
      'work/packages/shared/b.js': "module.exports = 'b';",
      ...packageOf('work/packages/shared/node_modules/dep', 'dep', "module.exports = ' dep';"),
      [`${links}/@acme/shared`]: '→ROOT/work/packages/shared',
    };
    expect(await defaultOf("export { default } from '@acme/shared';", files)).toBe('b dep');
    const { map } = await bundlePlugin(await readPluginFolder(dir));
    expect((JSON.parse(map) as { sources: string[] }).sources).toContain('@acme/shared/lib/a.js');
  });

  it('that a package finds by its `imports` and `browser` fields', async () => {
    const fields = { name: 'lib', version: '1.0.0', imports: { '#dep': 'dep' }, browser: { old: 'new' } };
    const files = {
      'work/node_modules/lib/package.json': JSON.stringify(fields),
      'work/node_modules/lib/index.js': "module.exports = require('#dep') + require('old');",
      ...packageOf('work/node_modules/dep', 'dep', "module.exports = 'dep';"),
      ...packageOf('work/node_modules/new', 'new', "module.exports = ' new';"),
    };
    expect(await defaultOf("export { default } from 'lib';", files)).toBe('dep new');
  });
});

describe('a bundle takes in no file of a node_modules', () => {
  const secret = {
    'srv/app/node_modules/secret.txt': 'secret',
    ...packageOf('srv/app/node_modules/private', 'private', "module.exports = 'secret';"),
    'work/node_modules/secret.txt': 'secret',
    ...packageOf('work/node_modules/lib', 'lib', "module.exports = 'lib';"),
    'work/node_modules/lib/.env': 'secret',
    'work/node_modules/.cache/lib/secret.txt': 'secret',
    'work/node_modules/loose/secret.txt': 'secret',
  };

  it.each([
    ['an absolute path', () => `${root}/srv/app/node_modules/secret.txt`, OUTSIDE],
    ['an absolute path to a package', () => `${root}/srv/app/node_modules/private/index.js`, OUTSIDE],
    [
      'an absolute path to a package that could be had by name',
      () => `${root}/work/node_modules/lib/index.js`,
      OUTSIDE,
    ],
    ['a path that climbs', () => '../../../node_modules/lib/index.js', OUTSIDE],
    ['a path that climbs from a name', () => 'lib/../../../srv/app/node_modules/secret.txt', OUTSIDE],
    ['the name of a loose file', () => 'secret.txt', OUTSIDE],
    ['the name of a folder that is no package', () => 'loose/secret.txt', OUTSIDE],
    ['the name of a hidden file', () => 'lib/.env', OUTSIDE],
    ['the name of a hidden folder', () => '.cache/lib/secret.txt', OUTSIDE],
  ])('by %s', async (_, file, message) => {
    expect(await failureOf(textOf(file()), secret)).toContain(message);
  });

  it('by a path of a package that climbs out of it', async () => {
    const files = packageOf(
      'work/node_modules/sly',
      'sly',
      "module.exports = require('../../../srv/app/node_modules/private');",
    );
    expect(await failureOf("export { default } from 'sly';", { ...secret, ...files })).toContain(OUTSIDE);
  });

  it('by paths of its compiler options', async () => {
    const tsconfig = JSON.stringify({ compilerOptions: { paths: { '@/*': [`${root}/srv/app/node_modules/*`] } } });
    const files = { ...secret, 'work/plugins/sample/tsconfig.json': tsconfig };
    expect(await failureOf(textOf('@/secret.txt'), files)).toContain(OUTSIDE);
  });

  it.each([
    ['to a file', 'src/link.txt', 'srv/app/node_modules/secret.txt', './link.txt'],
    ['to a folder of packages, as a source', 'src/link', 'srv/app/node_modules', './link/secret.txt'],
    ['to a folder of packages, as a package', 'node_modules/link', 'srv/app/node_modules', 'link/secret.txt'],
    ['to a folder that has no package.json', 'node_modules/link', 'srv', 'link/app/node_modules/secret.txt'],
  ])('by a link %s', async (_, at, to, file) => {
    const files = { ...secret, [`work/plugins/sample/${at}`]: `→ROOT/${to}` };
    expect(await failureOf(textOf(file), files)).toContain(OUTSIDE);
  });
});

describe('a link as a package leads to no folder', () => {
  const project = {
    ...packageOf('srv/app', 'app', ''),
    'srv/app/data.key': 'secret',
    'work/package.json': '{"name":"work","workspaces":["*"]}',
    'work/data.key': 'secret',
    ...packageOf('work/packages/other', 'other', ''),
    'work/packages/other/data.key': 'secret',
    'work/packages/other/.env': 'secret',
  };

  it.each([
    ['outside of the workspace', 'app', 'srv/app', 'app/data.key'],
    ['that holds the plugin', 'work', 'work', 'work/data.key'],
    ['of another name', 'renamed', 'work/packages/other', 'renamed/data.key'],
    ['for hidden files', 'other', 'work/packages/other', 'other/.env'],
  ])('%s', async (_, name, to, file) => {
    const files = { ...project, [`${NODE_MODULES}/${name}`]: `→ROOT/${to}` };
    expect(await failureOf(textOf(file), files)).toContain(OUTSIDE);
  });
});

describe('what can’t be read to its end is refused before it is read', () => {
  const pipe = async (file: string) => {
    await mkdir(path.dirname(path.join(dir, file)), { recursive: true });
    execFileSync('mkfifo', [path.join(dir, file)]);
  };

  it('a pipe as a source', async () => {
    await pipe('src/pipe.ts');
    expect(await failureOf("import './pipe.js';")).toContain("src/pipe.ts is no regular file and can't be bundled");
  });

  it('a pipe as the entry', async () => {
    await bundle('');
    await rm(path.join(dir, 'src/index.ts'));
    await pipe('src/index.ts');
    await expect(bundlePlugin(await readPluginFolder(dir), { limitMs: 20_000 })).rejects.toThrow(
      "src/index.ts is no regular file and can't be bundled",
    );
  });

  it.each(['src/lib/package.json', 'node_modules/lib/package.json', '.pnp.data.json'])('a pipe as %s', async (file) => {
    await pipe(file);
    expect(await failureOf("import './lib/a.js'; import 'lib';", { 'work/plugins/sample/src/lib/a.ts': '' })).toBe(
      `sample: ${file} is no regular file of the plugin's folder; put a copy in its place`,
    );
  });

  it('and a package.json that is a link to a file of others, which the message does not quote', async () => {
    const files = {
      'secret.txt': 'hush',
      'work/plugins/sample/src/lib/a.ts': '',
      'work/plugins/sample/src/lib/package.json': '→ROOT/secret.txt',
    };
    const message = await failureOf("import './lib/a.js';", files);
    expect(message).toContain("src/lib/package.json is no regular file of the plugin's folder");
    expect(message).not.toContain('hush');
  });

  it('and, in a folder that calls itself a package, its parts', async () => {
    const packageJson = { name: 'sample', version: '1.0.0', atollPackage: 1, atoll: { id: 'sample' } };
    await write({ 'work/plugins/sample/package.json': JSON.stringify(packageJson) });
    const folder = await readPluginFolder(dir);
    const part = path.join(dir, ENVELOPE_FILE);
    await pipe(ENVELOPE_FILE);
    await expect(bundlePlugin(folder)).rejects.toThrow(`${part} can't be read: it is no regular file.`);
    await rm(part);
    await symlink('/dev/zero', part);
    await expect(bundlePlugin(folder)).rejects.toThrow(`${part} can't be read: it is no regular file.`);
  });

  it('and what is too slow is given up', async () => {
    await expect(bundle('export default 1;', {}, 0)).rejects.toMatchObject({
      code: 'BUNDLE_FAILED',
      message: expect.stringContaining('sample: the build took too long and was given up.') as string,
    });
  });

  it('and a file of unreasonable size', async () => {
    const files = { 'work/plugins/sample/src/data.txt': 'x'.repeat(32 * 1024 * 1024 + 1) };
    expect(await failureOf(textOf('./data.txt'), files)).toContain(
      'src/data.txt has 33554433 bytes; at most 33554432 are read',
    );
  });
});

describe('comments that name source maps', () => {
  const library = (comment: string) =>
    packageOf('work/node_modules/lib', 'lib', `module.exports = 'lib';\n${comment}\n`);
  const mapOf = (source: string) => JSON.stringify({ version: 3, sources: [source], names: [], mappings: 'AAAA' });
  const sourcesOf = async (comment: string, files: Record<string, string> = {}) => {
    const { map } = await bundle("export { default } from 'lib';", { ...library(comment), ...files });
    return (JSON.parse(map) as { sources: string[] }).sources;
  };

  it('are followed inside of the package', async () => {
    const files = { 'work/node_modules/lib/index.js.map': mapOf('original.ts') };
    expect(await sourcesOf('//# sourceMappingURL=index.js.map', files)).toContain('lib/original.ts');
  });

  it.each(['ROOT/elsewhere.map', '../../../elsewhere.map', 'file://ROOT/elsewhere.map', '..%2f../../elsewhere.map'])(
    'are not followed to %s',
    async (target) => {
      const comment = `//# sourceMappingURL=${target.replace('ROOT', root)}`;
      expect(await sourcesOf(comment, { 'elsewhere.map': mapOf('stolen.ts') })).toEqual([
        'lib/index.js',
        'src/index.ts',
      ]);
    },
  );

  it.each(['/dev/zero', 'pipe'])('nor to %s', async (target) => {
    await mkdir(path.join(root, 'work/node_modules/lib'), { recursive: true });
    execFileSync('mkfifo', [path.join(root, 'work/node_modules/lib/pipe')]);
    expect(await sourcesOf(`/*# sourceMappingURL=${target} */`)).toEqual(['lib/index.js', 'src/index.ts']);
  });
});
