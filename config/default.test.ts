import { fileURLToPath } from 'node:url';
import { loadConfig } from '@atoll/kernel/config';
import { afterEach, describe, expect, it, vi } from 'vitest';

const configDir = fileURLToPath(new URL('.', import.meta.url));
afterEach(() => vi.unstubAllEnvs());

/** The configuration with these variables, and without those of the machine. */
async function load(env: Record<string, string>, nodeEnv?: string) {
  for (const name of ['DATABASE_URL', 'OLLAMA_HOST', 'OPENAI_API_KEY', 'OPENAI_BASE_URL', 'REDIS_URL'])
    vi.stubEnv(name, env[name] ?? '');
  return (await loadConfig({ configDir, env: {}, ...(nodeEnv && { nodeEnv }) })).config;
}

describe('default.ts', () => {
  it('sets nothing without variables', async () => {
    expect(await load({})).toMatchObject({ plugins: { config: {} }, secrets: {} });
  });

  it.each([
    ['gpu-box', 'http://gpu-box:11434'],
    ['gpu-box:80', 'http://gpu-box'],
    ['gpu-box:5000', 'http://gpu-box:5000'],
    ['0.0.0.0', 'http://127.0.0.1:11434'],
    ['0.0.0.0:5000', 'http://127.0.0.1:5000'],
    [':5000', 'http://127.0.0.1:5000'],
    ['::', 'http://[::1]:11434'],
    ['::1', 'http://[::1]:11434'],
    ['[::1]:5000', 'http://[::1]:5000'],
    ['http://gpu-box', 'http://gpu-box'],
    ['http://gpu-box:11434/', 'http://gpu-box:11434'],
    ['https://gpu-box/ollama', 'https://gpu-box/ollama'],
    [' "gpu-box" ', 'http://gpu-box:11434'],
  ])('OLLAMA_HOST=%s is %s', async (given, url) => {
    expect((await load({ OLLAMA_HOST: given })).plugins.config).toEqual({ 'provider-ollama': { host: url } });
  });

  it('binds the API key to the host of the base URL', async () => {
    expect((await load({ OPENAI_API_KEY: 'k' })).secrets).toEqual({
      OPENAI_API_KEY: { value: 'k', hosts: ['api.openai.com'] },
    });
    const config = await load({ OPENAI_API_KEY: 'k', OPENAI_BASE_URL: 'http://127.0.0.1:9000/v1/' });
    expect(config.secrets.OPENAI_API_KEY?.hosts).toEqual(['127.0.0.1:9000']);
    expect(config.plugins.config).toEqual({ 'provider-openai': { baseUrl: 'http://127.0.0.1:9000/v1' } });
  });

  it('takes the servers that are named, and tells nothing of a wrong one', async () => {
    const config = await load({ REDIS_URL: 'redis://:secret@cache:6379/2' });
    expect(config.redis.url).toBe('redis://:secret@cache:6379/2');
    for (const name of ['REDIS_URL', 'DATABASE_URL'])
      await expect(load({ [name]: 'http://:hidden@somewhere' })).rejects.toThrow(
        expect.objectContaining({ message: expect.not.stringContaining('hidden') }),
      );
  });

  it.each([
    ['OLLAMA_HOST', 'http://me:hidden@gpu-box'],
    ['OLLAMA_HOST', 'me:hidden@gpu-box:11434'],
    ['OLLAMA_HOST', 'hidden@gpu-box'],
    ['OLLAMA_HOST', 'ftp://me:hidden@gpu-box'],
    ['OPENAI_BASE_URL', 'https://me:hidden@api.example.com/v1'],
    ['OPENAI_BASE_URL', 'ftp://me:hidden@api.example.com/v1'],
  ])('a password in %s is refused and not repeated: %s', async (name, value) => {
    const error: unknown = await load({ [name]: value }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(name) as string });
    expect(String(error)).not.toContain('hidden');
  });

  it.each([
    ['OLLAMA_HOST', 'no host'],
    ['OLLAMA_HOST', 'ftp://gpu-box'],
    ['OLLAMA_HOST', 'unix:///run/ollama.sock'],
    ['OPENAI_BASE_URL', 'localhost:9000'],
  ])('a wrong %s is named', async (name, value) => {
    await expect(load({ [name]: value })).rejects.toThrow(
      new RegExp(`default\\.ts can't be loaded: environment variable ${name}: expected .*, got "${value}"`),
    );
  });
});

describe('production.ts', () => {
  it('differs where it says so', async () => {
    expect((await load({}, 'production')).sandbox.spares).toBe(2);
  });
});
