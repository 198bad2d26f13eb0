import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { testPlugin } from '@atoll/plugin-sdk/testing';
import { generateSigningKey, PackageStore, packPlugin, readPluginFolder, readSigningKey } from '@atoll/registry';
import { afterAll, beforeAll, expect, it } from 'vitest';

const PLUGINS = fileURLToPath(new URL('../../plugins/', import.meta.url));

let root: string;
beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), 'atoll-packed-'));
});
afterAll(() => rm(root, { recursive: true }));

async function unpacked(name: string) {
  const store = await PackageStore.open({ folder: path.join(root, 'store') });
  const { bytes } = await packPlugin(await readPluginFolder(path.join(PLUGINS, name)), {
    key: readSigningKey(generateSigningKey()),
  });
  const { id, version } = await store.publish(bytes);
  return store.unpack(id, version);
}

it('a plugin runs from its package as from its sources', async () => {
  const { dir } = await unpacked('hello');
  const [fromPackage, fromSources] = await Promise.all([testPlugin(dir), testPlugin(path.join(PLUGINS, 'hello'))]);
  try {
    const ask = (plugin: typeof fromPackage) => plugin.request('POST', '/api/v1/hello', { json: { name: 'Ada' } });
    const [packed, source] = [await ask(fromPackage), await ask(fromSources)];
    expect(packed.status).toBe(200);
    expect(packed.json()).toEqual(source.json());
  } finally {
    await Promise.all([fromPackage.close(), fromSources.close()]);
  }
});

it.each(['llm-router', 'provider-builtin', 'provider-ollama', 'provider-openai'])(
  '%s can be packed and starts from its package',
  async (name) => {
    const { dir } = await unpacked(name);
    const plugin = await testPlugin(dir, { services: { 'llm-provider': {} } });
    await plugin.close();
  },
);
