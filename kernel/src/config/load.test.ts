import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeConfig } from './describe.js';
import { loadConfig } from './load.js';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'atoll-config-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

const file = (name: string, text: string) => writeFile(path.join(dir, `${name}.ts`), text);
const load = (env: Record<string, string> = {}, nodeEnv?: string) =>
  loadConfig({ configDir: dir, env, ...(nodeEnv && { nodeEnv }) });
async function problems(env: Record<string, string> = {}): Promise<string[]> {
  const error = await load(env).catch((thrown: unknown) => thrown as { code: string; message: string });
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' });
  return (error as { message: string }).message.replaceAll(dir, '').split('\n');
}
const DEFINE = "import { defineConfig } from '@atoll/kernel/config';\n";

describe('layers', () => {
  it('are the defaults when there is nothing else', async () => {
    const { config, sources } = await load();
    expect(config).toMatchObject({ server: { port: 7070 }, plugins: { path: [] }, secrets: {} });
    expect(sources.size).toBe(0);
    (config.plugins.path as string[]).push('changed');
    expect((await load()).config.plugins.path).toEqual([]);
  });

  it('come in order, merge objects, replace lists, and say where a value is from', async () => {
    await file(
      'default',
      `${DEFINE}export default defineConfig({ server: { port: 1, host: 'a', corsOrigins: ['x', 'y'] }, plugins: { config: { p: { a: 1, b: 1 } } } });`,
    );
    await file(
      'staging-2',
      `${DEFINE}export default defineConfig({ server: { port: 2, corsOrigins: ['z'] }, plugins: { config: { p: { b: 2 } } } });`,
    );
    const { config, sources } = await load({ ATOLL_HOST: 'b', NODE_ENV: 'staging-2' });
    expect(config.server).toMatchObject({ port: 2, host: 'b', corsOrigins: ['z'], trustProxy: false });
    expect(config.plugins.config).toEqual({ p: { a: 1, b: 2 } });
    expect([sources.get('server.port'), sources.get('server.host')]).toEqual([
      path.join(dir, 'staging-2.ts'),
      'environment variable ATOLL_HOST',
    ]);
    expect((await load({ NODE_ENV: 'staging-2' }, 'other')).config.server.port).toBe(1);
    expect((await load({}, '../escape')).config.server.port).toBe(1);
  });

  it('are read anew each time', async () => {
    await file('default', 'export default { server: { port: 1 } };');
    expect((await load()).config.server.port).toBe(1);
    await file('default', 'export default { server: { port: 22 } };');
    expect((await load()).config.server.port).toBe(22);
  });

  it('that are no configuration are named', async () => {
    await file('default', 'export const config = {};\nexport default 5;');
    expect(await problems()).toEqual(['/default.ts has to export its part of the configuration as default.']);
    await file('default', 'throw new TypeError("broken");');
    expect(await problems()).toEqual(["/default.ts can't be loaded: broken"]);
  });
});

describe('the environment', () => {
  it('sets keys by short and by nested names, in any spelling', async () => {
    const { config } = await load({
      ATOLL_PORT: '81', ATOLL_DATA_DIR: '/d', ATOLL_ADMIN_KEY: 'k'.repeat(16), ATOLL_PLUGIN_PATH: '/a:/b:', ATOLL_SANDBOX__MAX_CELLS: '4',
      ATOLL_SANDBOX__MAXCRASHES: '9', ATOLL_server__trustProxy: 'true', ATOLL_LOG__PRETTY: '1', ATOLL_PLUGINS__DISABLED: 'x, y',
      ATOLL_SERVER__CORS_ORIGINS: '["*"]', ATOLL_URL: 'http://elsewhere', HOME: '/root', ATOLL_HOST: '',
    }); // biome-ignore format: a table
    expect(config.server).toMatchObject({
      port: 81,
      dataDir: '/d',
      trustProxy: true,
      corsOrigins: ['*'],
      host: '127.0.0.1',
    });
    expect(config.auth.adminKey).toBe('k'.repeat(16));
    expect(config.sandbox).toMatchObject({ maxCells: 4, maxCrashes: 9 });
    expect(config.log.pretty).toBe(true);
    expect(config.plugins).toMatchObject({ path: ['/a', '/b'], disabled: ['x', 'y'] });
  });

  it('reaches into records', async () => {
    const { config } = await load({
      ATOLL_PLUGINS__CONFIG__MY_PLUGIN__BASE_URL: 'http://x', ATOLL_PLUGINS__CONFIG__MY_PLUGIN__maxItems: '5',
      ATOLL_PLUGINS__CONFIG: '{"other":{"a":[1]}}', ATOLL_NET__NARROW__MY_PLUGIN: '["https://a.com"]',
      ATOLL_SECRETS__EXAMPLE_KEY__VALUE: '12345', ATOLL_SECRETS__EXAMPLE_KEY__HOSTS: 'a.com,b.com',
    }); // biome-ignore format: a table
    expect(config.plugins.config).toEqual({ 'my-plugin': { baseUrl: 'http://x', maxItems: 5 }, other: { a: [1] } });
    expect(config.net.narrow).toEqual({ 'my-plugin': ['https://a.com'] });
    expect(config.secrets).toEqual({ EXAMPLE_KEY: { value: '12345', hosts: ['a.com', 'b.com'] } });
  });

  it.each([
    ['ATOLL_PROT', 'Did you mean ATOLL_PORT?'],
    ['ATOLL_SANDBOX__MAX_CELS', 'Did you mean ATOLL_SANDBOX__MAX_CELLS?'],
    ['ATOLL_SERVER__PORT__X', 'is no configuration key.'],
    ['ATOLL_SERVER', 'is no configuration key.'],
    ['ATOLL_SECRETS____PROTO____VALUE', 'is no configuration key.'],
    ['ATOLL_UTTERLY_DIFFERENT', '`atoll config print` lists all keys.'],
    ['ATOLL_SERVICE_HOST', 'Kubernetes sets it for a Service named "atoll"'],
  ])('%s: %s', async (name, text) => {
    const [problem] = await problems({ [name]: 'x' });
    expect(problem).toContain(`environment variable ${name} is no configuration key.`);
    expect(problem).toContain(text);
  });

  it('must not say two things', async () => {
    expect(await problems({ ATOLL_PORT: '1', ATOLL_SERVER__PORT: '2' })).toEqual([
      'server.port: environment variables ATOLL_PORT and ATOLL_SERVER__PORT both set it, to different values.',
    ]);
    await load({ ATOLL_PORT: '1', ATOLL_SERVER__PORT: '1' });
  });
});

describe('problems', () => {
  it('are all listed, with key, source, what was expected and what was given', async () => {
    await file(
      'default',
      "export default { server: { port: 99999, hots: 'x' }, logg: {}, log: { level: 'loud' }, sandbox: { spares: true }, net: 5, ws: { maxConnections: 1.5 } };",
    );
    const env = { ATOLL_PLUGINS__PATH: '["/a",5]', ATOLL_SERVER__MAX_BODY_BYTES: 'many', ATOLL_X: '1' };
    expect((await problems(env)).sort()).toEqual([
      'environment variable ATOLL_X is no configuration key. `atoll config print` lists all keys.',
      'log.level (/default.ts): expected one of "trace", "debug", "info", "warn", "error", "silent", got "loud".',
      'logg (/default.ts): is no configuration key. Did you mean log?',
      'net (/default.ts): expected an object, got a number that is not shown.',
      'plugins.path.1 (environment variable ATOLL_PLUGINS__PATH): expected a string, got 5.',
      'sandbox.spares (/default.ts): expected an integer of at least 0 and at most 8, got true.',
      'server.hots (/default.ts): is no configuration key. Did you mean server.host?',
      'server.maxBodyBytes (environment variable ATOLL_SERVER__MAX_BODY_BYTES): expected an integer of at least 1, got "many".',
      'server.port (/default.ts): expected an integer of at least 0 and at most 65535, got 99999.',
      'ws.maxConnections (/default.ts): expected an integer of at least 1, got 1.5.',
    ]);
  });

  it('never show a secret, not even in the wrong place', async () => {
    await file(
      'default',
      "export default { auth: { adminKey: 'hunter2' }, secrets: { A: 'hunter2', B: { value: 42424242 }, C: { value: 'hunter2', hosts: 'a.com' } } };",
    );
    const found = await problems();
    expect(found.join()).not.toMatch(/hunter2|42424242/);
    expect(found).toContain(
      'auth.adminKey (/default.ts): expected a string of at least 16 characters, got a string that is not shown.',
    );
    expect(found).toContain('secrets.A (/default.ts): expected an object, got a string that is not shown.');
    expect(found).toContain('secrets.C.hosts (/default.ts): expected an array, got "a.com".');
    expect(found).toContain('secrets.B.hosts (/default.ts): is missing.');
  });
});

describe('describeConfig', () => {
  it('has a line for every key and every entry of a record, without secrets', async () => {
    await file(
      'default',
      "export default { plugins: { config: { p: { host: 'h', apiKey: 'hunter2' }, q: { pin: 'hunter2', key: 'shown' } } }, secrets: { A: { value: 'hunter2', hosts: ['a.com'] } } };",
    );
    const pluginSchemas = { q: { type: 'object', properties: { pin: { type: 'string', secret: true } } } };
    const one = describeConfig(await load({ ATOLL_SERVER__PORT: '7300' }));
    expect(one.filter(({ source }) => source.includes('PORT')).map(({ key }) => key)).toEqual(['server.port']);
    const lines = describeConfig(await load({ ATOLL_ADMIN_KEY: 'hunter2hunter2hunter2' }), { pluginSchemas });
    expect(JSON.stringify(lines)).not.toContain('hunter2');
    expect(lines).toContainEqual({
      key: 'server.port', value: 7070, source: 'default', description: expect.stringContaining('Port'), variable: 'ATOLL_PORT',
    }); // biome-ignore format: a line
    expect(lines).toContainEqual(expect.objectContaining({ key: 'plugins.config.p.host', value: 'h' }));
    expect(lines).toContainEqual(expect.objectContaining({ key: 'plugins.config.q.key', value: 'shown' }));
    expect(lines).toContainEqual(
      expect.objectContaining({
        key: 'secrets.A.hosts',
        source: path.join(dir, 'default.ts'),
        variable: 'ATOLL_SECRETS__A__HOSTS',
      }),
    );
    expect(lines.filter(({ description }) => description === '')).toEqual([]);
  });
});
